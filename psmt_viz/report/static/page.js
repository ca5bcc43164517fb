"use strict";

// The button of the theme, folded sections that links lead to, enlarged figures, and tables to search.
{
  const button = document.getElementById("theme");
  const label = (dark) => {
    button.textContent = dark ? "Light" : "Dark";
    button.setAttribute("aria-label", dark ? "Use light colours" : "Use dark colours");
  };
  label(report.theme.dark());
  button.hidden = false;
  button.addEventListener("click", report.theme.toggle);
  report.theme.onChange(label);
}

{
  const unfold = () => {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const details = target && target.querySelector(":scope > details");
    if (details) details.open = true;
  };
  addEventListener("hashchange", unfold);
  // A link to the section that the address names already changes nothing, so that it is heard here.
  document.querySelector(".contents").addEventListener("click", () => setTimeout(unfold));
  unfold();
}

{
  const viewer = document.getElementById("viewer");
  const body = viewer.querySelector(".viewer-body");
  for (const button of document.querySelectorAll(".enlarge")) {
    button.addEventListener("click", () => {
      body.replaceChildren(...[...button.querySelectorAll("img")].map((image) => image.cloneNode()));
      document.getElementById("viewer-title").textContent = button.closest("figure").querySelector("figcaption").textContent;
      viewer.showModal();
    });
  }
  document.getElementById("viewer-close").addEventListener("click", () => viewer.close());
  viewer.addEventListener("click", (event) => {
    if (event.target === viewer) viewer.close(); // beside the figure
  });
  viewer.addEventListener("close", () => body.replaceChildren());
}

for (const search of document.querySelectorAll(".search")) {
  const input = search.querySelector("input");
  const rows = [...search.parentElement.querySelectorAll("tbody tr")];
  const texts = rows.map((row) => [...row.cells].map((cell) => cell.textContent).join(" ").toLowerCase());
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let found = 0;
    rows.forEach((row, index) => {
      row.hidden = !words.every((word) => texts[index].includes(word));
      found += !row.hidden;
    });
    search.querySelector("output").textContent = `${found.toLocaleString("en")} rows`;
  });
}
