// Draws the plots: in the colours that style.css has for light, dark and paper, and as wide as their place.
"use strict";
(() => {
  const PAPER_PX = 660; // A4 and Letter between margins of 15 mm, whichever is narrower
  const CONFIG = {
    responsive: true,
    displaylogo: false,
    modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
    toImageButtonOptions: { scale: 2 },
  };
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
    Plotly.react(plot, figure.data, figure.layout, { ...CONFIG, responsive: !width });
  }

  const shown = (plot) => !plot.closest("details:not([open])");
  const drawAll = (width) => plots.filter(shown).forEach((plot) => draw(plot, width));

  document.querySelectorAll("details").forEach((details) =>
    details.addEventListener("toggle", () => {
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
})();
