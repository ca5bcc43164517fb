"use strict";

// Bokeh's plots inside the page: their colours follow the theme, the page's buttons zoom them.
report.plots = (() => {
  const { Document } = Bokeh.require("document");
  Bokeh.logger.set_level("warn"); // it would write to the console of every reader

  // On a touch screen a drag over a plot turns the page, until the reader presses the button for the other.
  const touch = matchMedia("(pointer: coarse)").matches;
  const setPan = (doc, on) => {
    for (const tool of doc.roots().flatMap((plot) => plot.toolbar.tools)) {
      if (tool.type === "PanTool") tool.active = on;
    }
  };

  // Draws the document of a script element; `prepare` may change it before it is drawn.
  const embed = async (id, prepare = () => {}) => {
    const { doc: json, targets, paints } = report.data(id);
    const doc = Document.from_json(json);
    const paint = (dark) => {
      for (const [model, attribute, light, other] of paints) {
        doc.get_model_by_id(model).setv({ [attribute]: dark ? other : light });
      }
    };
    paint(report.theme.dark());
    report.theme.onChange(paint);
    if (touch) setPan(doc, false);
    prepare(doc);
    const elements = targets.map((target) => document.getElementById(target));
    const manager = await Bokeh.embed.add_document_standalone(doc, document.body, elements, false);
    const views = doc.roots().map((root) => manager.get(root));
    // Bokeh's own place in the order of focus has no name; the page's element around the plot has one.
    for (const view of views) view.canvas_view.events_el.removeAttribute("tabindex");
    // Bokeh would redraw in the next frame, after the paper has been printed.
    addEventListener("beforeprint", () => views.forEach((view) => view.paint()));
    return { doc, views, elements };
  };

  // Data coordinates of a pointer over a plot, and how many pixels of the screen a unit is.
  const locate = (view, event) => {
    const box = view.el.getBoundingClientRect();
    const { x_scale, y_scale } = view.frame;
    const x = x_scale.invert(event.clientX - box.left);
    const y = y_scale.invert(event.clientY - box.top);
    const { x_range, y_range } = view.model;
    const { width, height } = view.frame.bbox;
    return { x, y, x_pixels: width / Math.abs(x_range.end - x_range.start), y_pixels: height / Math.abs(y_range.end - y_range.start) };
  };

  // Makes the buttons [data-zoom] and [data-reset] of an element move the ranges of plots about their middle.
  const zoomable = (element, doc) => {
    const ranges = [...new Set(doc.roots().flatMap((plot) => [plot.x_range, plot.y_range]))];
    let first = ranges.map(({ start, end }) => ({ start, end }));
    const zoom = (factor) => {
      for (const range of ranges) {
        const middle = (range.start + range.end) / 2;
        const half = (factor * (range.end - range.start)) / 2;
        range.setv({ start: middle - half, end: middle + half });
      }
    };
    const reset = () => ranges.forEach((range, index) => range.setv(first[index]));
    for (const button of element.querySelectorAll("[data-zoom]")) {
      button.addEventListener("click", () => zoom(Number(button.dataset.zoom)));
    }
    element.querySelector("[data-reset]").addEventListener("click", reset);
    const drag = element.querySelector("[data-drag]");
    drag.hidden = !touch;
    drag.addEventListener("click", () => {
      const on = drag.getAttribute("aria-pressed") !== "true";
      drag.setAttribute("aria-pressed", String(on));
      setPan(doc, on);
    });
    // Makes a range start from other ends when it is reset.
    const restart = (range, ends) => {
      first = first.map((old, index) => (ranges[index] === range ? ends : old));
      range.setv(ends);
    };
    return { zoom, reset, restart };
  };

  // A wheel that was turning the page goes on doing so when a plot comes under the pointer.
  let scrolled = -Infinity;
  document.addEventListener(
    "wheel",
    (event) => {
      const over = event.target instanceof Element && event.target.closest(".plot");
      if (over && event.timeStamp - scrolled > 400) return;
      scrolled = event.timeStamp;
      if (over) event.stopPropagation();
    },
    { capture: true, passive: true },
  );

  return { embed, locate, zoomable };
})();
