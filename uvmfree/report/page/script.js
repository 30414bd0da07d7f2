// Draws the plots: in the colours that style.css has for light, dark and paper, and as wide as their place.
"use strict";
(() => {
  const PAPER_PX = 660; // A4 and Letter between margins of 15 mm, whichever is narrower
  const [ROW_PX, ENTRY_PX, LETTER_PX, AXIS_PX] = [19, 45, 7.2, 90]; // of legends, at FONT_PX of plot.py
  // No bar of buttons: a plot is an image, and an image has nothing in it that a keyboard could reach.
  const CONFIG = { displayModeBar: false, doubleClick: "reset" };
  const DRAG = matchMedia("(pointer: fine)").matches ? "zoom" : false; // fingers scroll
  const plots = [...document.querySelectorAll(".plot")];
  const figures = new Map(plots.map((plot) => [plot, document.getElementById(`${plot.id}-data`).textContent]));

  function coloured(text) {
    const style = getComputedStyle(document.documentElement);
    return text.replace(/"var\((--[\w-]+)\)"/g, (_, name) => JSON.stringify(style.getPropertyValue(name).trim()));
  }

  // What the legend needs beyond its first row: its entries stand in columns that are as wide as the longest.
  function legendPx(data, width) {
    const names = data.filter((trace) => trace.showlegend !== false && trace.name).map((trace) => trace.name);
    const column = ENTRY_PX + LETTER_PX * Math.max(0, ...names.map((name) => name.length));
    return ROW_PX * Math.max(0, Math.ceil(names.length / Math.max(1, Math.floor((width - AXIS_PX) / column))) - 1);
  }

  function draw(plot, width) {
    const figure = JSON.parse(coloured(figures.get(plot)));
    figure.layout.height += legendPx(figure.data, width || plot.clientWidth);
    plot.style.height = `${figure.layout.height}px`;
    if (width) {
      figure.layout.width = width;
    } else {
      figure.layout.autosize = true;
    }
    figure.layout.dragmode = DRAG;
    Plotly.react(plot, figure.data, figure.layout, { ...CONFIG, responsive: !width });
    // Where margins grew in the last of plotly's passes, its legend stands where they were: it has to look again.
    const [legend, area] = [".legend", ".nsewdrag"].map((part) => plot.querySelector(part)?.getBoundingClientRect());
    if (legend && area && legend.bottom > area.top + 2) {
      Plotly.redraw(plot);
    }
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
  for (const media of ["(prefers-color-scheme: dark)", "(max-width: 40rem)"]) {
    matchMedia(media).addEventListener("change", () => drawAll());
  }
  const facts = [...document.querySelectorAll("#measured details, figure details")];
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
