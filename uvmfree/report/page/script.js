// Draws the plots: in the colours that style.css has for light, dark and paper, and as wide as their place.
"use strict";
(() => {
  const PAPER_PX = 660; // A4 and Letter between margins of 15 mm, whichever is narrower
  // No bar of buttons: a plot is an image, and an image has nothing in it that a keyboard could reach.
  const CONFIG = { displayModeBar: false, doubleClick: "reset" };
  const DRAG = matchMedia("(pointer: fine)").matches ? "zoom" : false; // fingers scroll
  const plots = [...document.querySelectorAll(".plot")];
  const figures = new Map(plots.map((plot) => [plot, document.getElementById(`${plot.id}-data`).textContent]));

  function coloured(text) {
    const style = getComputedStyle(document.documentElement);
    return text.replace(/"var\((--[\w-]+)\)"/g, (_, name) => JSON.stringify(style.getPropertyValue(name).trim()));
  }

  function draw(plot, width) {
    const figure = JSON.parse(coloured(figures.get(plot)));
    if (width) {
      figure.layout.width = width;
    } else {
      figure.layout.autosize = true;
    }
    figure.layout.dragmode = DRAG;
    Plotly.react(plot, figure.data, figure.layout, { ...CONFIG, responsive: !width });
  }

  const shown = (plot) => !plot.closest("details:not([open])");
  const drawAll = (width) => plots.filter(shown).forEach((plot) => draw(plot, width));

  // A table is a stop for the keyboard only where it has to be scrolled.
  const tables = [...document.querySelectorAll(".scroll")];
  const stops = () => tables.forEach((table) => (table.tabIndex = table.scrollWidth > table.clientWidth ? 0 : -1));
  addEventListener("resize", stops);
  stops();

  document.querySelectorAll("details").forEach((details) =>
    details.addEventListener("toggle", () => {
      stops();
      if (details.open) {
        [...details.querySelectorAll(".plot:not(.js-plotly-plot)")].filter(shown).forEach((plot) => draw(plot));
      }
    }),
  );
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawAll());
  const facts = [...document.querySelectorAll("#measured details")];
  let unfolded = [];
  addEventListener("beforeprint", () => {
    unfolded = facts.filter((details) => !details.open);
    unfolded.forEach((details) => (details.open = true));
    document.documentElement.dataset.paper = "";
    drawAll(PAPER_PX);
  });
  addEventListener("afterprint", () => {
    unfolded.forEach((details) => (details.open = false));
    delete document.documentElement.dataset.paper;
    drawAll();
  });
  drawAll();
  // Where plotly measures texts, out of sight.
  document.getElementById("js-plotly-tester")?.setAttribute("aria-hidden", "true");
})();
