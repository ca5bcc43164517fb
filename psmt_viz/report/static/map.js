"use strict";

// The t-SNE map: filters, pointing, stepping, and the card of the chosen pixel.
report.map = (async () => {
  const REACH = 10; // pixels of the screen within which a point is meant
  const facts = report.data("map-facts");
  const element = document.getElementById("map");
  const panels = document.getElementById("map-panels");
  const card = document.getElementById("card");

  const { doc, views, elements } = await report.plots.embed("map-plots", (doc) => {
    // Markers follow from the label; names of 25,000 of them would take room in the page.
    const source = doc.get_model_by_name("points");
    const labels = source.get_array("label");
    source.set("marker", labels.map((label) => facts.markers[label].type));
    source.set("angle", labels.map((label) => facts.markers[label].angle));
  });
  const source = doc.get_model_by_name("points");
  const chosen = doc.get_model_by_name("chosen");
  const shown = doc.get_model_by_name("shown");
  const column = (name) => source.get_column(name);
  const labels = column("label");
  const count = labels.length;
  const coordinates = facts.panels.map((panel) => [column(`x_${panel}`), column(`y_${panel}`)]);
  const wrong = Object.fromEntries(
    facts.panels.map((panel) => {
      const predicted = column(`pred_${panel}`);
      return [panel, Uint8Array.from(labels, (label, index) => predicted[index] !== label)];
    }),
  );
  const wrongInAny = Uint8Array.from(labels, (_, index) => facts.panels.some((panel) => wrong[panel][index]));
  const perturbations = facts.panels.slice(1);

  // In words what flips a pixel: nothing, all perturbations, one alone, or several, which are listed.
  const flippedBy = (index) => {
    const by = perturbations.filter((panel) => wrong[panel][index]);
    if (!by.length) return facts.none;
    if (by.length === perturbations.length) return facts.by.both ?? facts.by.all;
    return by.length === 1 ? facts.by[`${by[0]}_alone`] : by.map((panel) => facts.names[panel]).join(", ");
  };

  // Filters. No class pressed means all classes.
  let visible = new Uint8Array(count).fill(1);
  const buttons = [...element.querySelectorAll("[data-class], [data-flipped]")];
  const pressed = (button) => button.getAttribute("aria-pressed") === "true";
  const press = (button, on) => button.setAttribute("aria-pressed", String(on));

  const filter = () => {
    const classes = new Set(buttons.filter((b) => b.dataset.class && pressed(b)).map((b) => Number(b.dataset.class)));
    const which = buttons.find((b) => b.dataset.flipped && pressed(b))?.dataset.flipped;
    const among = which === "any" ? wrongInAny : wrong[which];
    visible = Uint8Array.from(labels, (label, index) => (!classes.size || classes.has(label)) && (!among || among[index]));
    shown.booleans = classes.size || among ? Array.from(visible, Boolean) : null;
    describe();
  };

  const describe = () => {
    const number = (array) => array.reduce((sum, value, index) => sum + (value && visible[index]), 0).toLocaleString("en");
    const parts = perturbations.map((panel) => `${number(wrong[panel])} by ${facts.names[panel]}`);
    if (perturbations.length > 1) {
      const shared = Uint8Array.from(labels, (_, index) => perturbations.every((panel) => wrong[panel][index]));
      parts.push(`${number(shared)} by ${facts.by.both ?? facts.by.all}`);
    }
    const all = count.toLocaleString("en");
    document.getElementById("map-status").textContent = `${number(visible)} of ${all} pixels shown; flipped among them: ${parts.join(", ")}.`;
  };

  for (const button of buttons) {
    button.addEventListener("click", () => {
      const on = !pressed(button);
      if (button.dataset.flipped) buttons.filter((b) => b.dataset.flipped).forEach((b) => press(b, false));
      press(button, on);
      filter();
    });
  }
  element.querySelector("[data-all]").addEventListener("click", () => {
    buttons.forEach((button) => press(button, false));
    filter();
  });

  // The card. `index` counts the points as they are drawn.
  const className = (id) => facts.classes[id]?.name ?? String(id);
  const pixel = (index) => {
    const values = Object.fromEntries(["row", "col", "label", ...facts.panels.map((p) => `pred_${p}`)].map((n) => [n, column(n)[index]]));
    return { ...values, image: facts.images[column("image")[index]] };
  };

  const choose = (index) => {
    chosen.data = Object.fromEntries(
      facts.panels.flatMap((panel, place) => [[`x_${panel}`, [coordinates[place][0][index]]], [`y_${panel}`, [coordinates[place][1][index]]]]),
    );
    const values = pixel(index);
    const write = (name, text) => {
      card.querySelector(`[data-fact="${name}"]`).textContent = text;
    };
    write("image", values.image.id);
    write("row", values.row);
    write("col", values.col);
    write("label", className(values.label));
    for (const panel of facts.panels) {
      const predicted = values[`pred_${panel}`];
      write(`pred_${panel}`, className(predicted));
      card.querySelector(`[data-fact="pred_${panel}"]`).classList.toggle("wrong", predicted !== values.label);
    }
    write("flipped_by", flippedBy(index));
    card.dataset.index = index;
    card.querySelector(".empty").hidden = true;
    card.querySelector(".filled").hidden = false;
    const [crop, whole] = ["card-crop", "card-whole"].map((id) => document.getElementById(id));
    return report.pictures.draw(crop, whole, values.image, values.row, values.col).then((part) => {
      if (part) document.getElementById("card-size").textContent = `${part.side} × ${part.side} pixels`;
    });
  };

  // Pointing: the nearest visible point; of several at one place the one drawn last.
  const nearest = (place, event) => {
    const { x, y, x_pixels, y_pixels } = report.plots.locate(views[place], event);
    const [xs, ys] = coordinates[place];
    const flipped = wrong[facts.panels[place]];
    let [best, least] = [-1, REACH ** 2];
    for (let index = 0; index < count; index++) {
      if (!visible[index]) continue;
      const [dx, dy] = [(xs[index] - x) * x_pixels, (ys[index] - y) * y_pixels];
      const distance = dx * dx + dy * dy;
      if (distance < least || (distance === least && !(best >= 0 && flipped[best] && !flipped[index]))) {
        [best, least] = [index, distance];
      }
    }
    return best;
  };

  let waiting = null;
  elements.forEach((plot, place) => {
    const point = (event) => {
      if (waiting === null) {
        requestAnimationFrame(() => {
          const index = nearest(place, waiting);
          waiting = null;
          if (index >= 0 && String(index) !== card.dataset.index) choose(index);
        });
      }
      waiting = event;
    };
    plot.addEventListener("pointermove", (event) => event.buttons === 0 && point(event), { capture: true });
    plot.addEventListener("click", point, { capture: true });
  });

  // Stepping through the visible flipped pixels; through all visible ones where none is flipped.
  const step = (direction) => {
    let steps = facts.flipped.filter((index) => visible[index]);
    const kind = steps.length ? "flipped pixel" : "pixel";
    if (!steps.length) steps = Array.from(visible.keys()).filter((index) => visible[index]);
    if (!steps.length) return;
    const now = steps.indexOf(Number(card.dataset.index));
    const next = now < 0 ? (direction > 0 ? 0 : steps.length - 1) : (now + direction + steps.length) % steps.length;
    choose(steps[next]);
    const { image, row, col, label, ...values } = pixel(steps[next]);
    const after = perturbations.map((panel) => `after ${facts.names[panel]} ${className(values[`pred_${panel}`])}`);
    document.getElementById("map-spoken").textContent =
      `${kind} ${next + 1} of ${steps.length}: image ${image.id}, row ${row}, column ${col}, class ${className(label)}, ${after.join(", ")}`;
  };

  const { zoom, reset } = report.plots.zoomable(element, doc);
  const keys = {
    ArrowRight: () => step(1),
    ArrowLeft: () => step(-1),
    "+": () => zoom(0.5),
    "-": () => zoom(2),
    0: reset,
  };
  panels.addEventListener("keydown", (event) => {
    if (!(event.key in keys) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    keys[event.key]();
  });
  for (const button of element.querySelectorAll("[data-step]")) {
    button.addEventListener("click", () => step(Number(button.dataset.step)));
  }

  describe();
  performance.mark("interactive");
  return { doc, views, choose, nearest, visible: () => visible };
})();
