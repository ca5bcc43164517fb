"use strict";

// The charts of training: the legend holds the values at the pointer, and the axis counts epochs or images.
report.curves = (async () => {
  const facts = report.data("curves-facts");
  const element = document.getElementById("curves");
  const { doc, views, elements } = await report.plots.embed("curves-plots");
  const { restart } = report.plots.zoomable(element, doc);
  let over = "epoch";

  const number = (value, unit) => {
    if (unit === "%" && (value === 0 || Math.abs(value) >= 0.1)) return value.toFixed(2);
    return value === 0 || Math.abs(value) >= 0.001 ? String(Number(value.toPrecision(4))) : value.toExponential(2);
  };
  const whole = (value) => Math.round(value).toLocaleString("en");

  // Over what a chart is drawn now: its iterations stay iterations.
  const axis = (chart) => (chart.over === "epoch" ? over : chart.over);
  const sources = (chart) => Array.from({ length: chart.series }, (_, line) => doc.get_model_by_name(`${chart.id}-${line}`));
  const places = (chart) => [...new Set(sources(chart).flatMap((source) => [...source.get_array(axis(chart))]))].sort((a, b) => a - b);

  // Writes the values of one place into the legend; a line that has none there shows a dash.
  const read = (chart, place, marked) => {
    const legend = element.querySelector(`[data-chart="${chart.id}"] .legend`);
    legend.querySelector(".at").textContent = `${axis(chart) === "images" ? "images seen" : axis(chart)} ${whole(place)}`;
    sources(chart).forEach((source, line) => {
      const index = source.get_array(axis(chart)).indexOf(place);
      const [mean, low, high] = ["mean", "min", "max"].map((name) => source.get_array(name)[index]);
      const [middle, from, to] = [mean, low, high].map((value) => (index < 0 ? "" : number(value, chart.unit)));
      const range = high > low ? ` (${from} to ${to})` : "";
      const unit = chart.unit && ` ${chart.unit}`;
      legend.querySelectorAll("[data-value]")[line].textContent = index < 0 ? "–" : middle + range + unit;
    });
    doc.get_model_by_name(`${chart.id}-mark`).location = marked ? place : null;
  };

  const readLast = (chart) => read(chart, places(chart).at(-1), false);

  const nearest = (values, x) => values.reduce((best, value) => (Math.abs(value - x) < Math.abs(best - x) ? value : best));

  facts.forEach((chart, index) => {
    let place = null;
    elements[index].addEventListener("pointermove", (event) => {
      place = nearest(places(chart), report.plots.locate(views[index], event).x);
      read(chart, place, true);
    }, { capture: true });
    const leave = () => {
      place = null;
      readLast(chart);
    };
    elements[index].addEventListener("pointerleave", leave);
    elements[index].addEventListener("blur", leave);
    elements[index].addEventListener("keydown", (event) => {
      const direction = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!direction) return;
      event.preventDefault();
      const all = places(chart);
      const now = place === null ? (direction > 0 ? -1 : all.length) : all.indexOf(place);
      place = all[Math.min(Math.max(now + direction, 0), all.length - 1)];
      read(chart, place, true);
    });
    readLast(chart);
  });

  const switchTo = (name) => {
    over = name;
    const charts = facts.filter((chart) => chart.over === "epoch");
    const ends = charts.flatMap((chart) => [places(chart)[0], places(chart).at(-1)]);
    for (const chart of charts) {
      const plot = doc.get_model_by_name(chart.id);
      for (const renderer of plot.renderers) renderer.glyph.x = { field: name };
      plot.below[0].axis_label = name === "images" ? "images seen" : name;
      readLast(chart);
    }
    const [start, end] = [Math.min(...ends), Math.max(...ends)];
    restart(doc.get_model_by_name(charts[0].id).x_range, end > start ? { start, end } : { start: start - 1, end: end + 1 });
  };
  const buttons = [...element.querySelectorAll("[data-over]")];
  for (const button of buttons) {
    button.addEventListener("click", () => {
      buttons.forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
      switchTo(button.dataset.over);
    });
  }
  return { doc, views };
})();
