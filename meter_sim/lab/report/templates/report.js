// Read-outs under the pointer, and folded evidence opened for the printer. The page is whole without this.
(() => {
  const charts = document.querySelector(".charts");
  const from = +charts.dataset.from, to = +charts.dataset.to;
  const clock = new Intl.DateTimeFormat("en-GB", {
    weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", timeZone: charts.dataset.zone
  });
  const spell = (value, unit) => {
    if (unit !== "s") return value.toLocaleString("en", { maximumFractionDigits: 1 }) + " " + unit;
    for (const [length, name] of [[86400, "d"], [3600, "h"], [60, "min"]])
      if (value >= length) return (value / length).toFixed(1) + " " + name;
    return value.toFixed(1) + " s";
  };
  const panels = [...charts.querySelectorAll(".canvas[data-unit]")].map(canvas => {
    const peak = canvas.parentNode.querySelector(".peak");
    return {
      canvas, peak, said: peak.textContent, cursor: canvas.querySelector(".cursor"),
      lines: [...canvas.querySelectorAll("[data-t]")].map(line => ({
        label: line.dataset.label,
        times: line.dataset.t.split(" ").map(Number),
        values: line.dataset.v.split(" ").map(Number)
      }))
    };
  });
  const show = share => panels.forEach(panel => {
    const at = share * (to - from);
    panel.cursor.setAttribute("x1", share * 100 + "%");
    panel.cursor.setAttribute("x2", share * 100 + "%");
    panel.cursor.style.opacity = 1;
    panel.peak.textContent = clock.format((from + at) * 1000) + ": " + panel.lines.map(line => {
      let index = line.times.findIndex(time => time > at);
      index = index < 0 ? line.times.length - 1 : Math.max(0, index - 1);
      return spell(line.values[index], panel.canvas.dataset.unit) + (panel.lines.length > 1 ? " " + line.label : "");
    }).join("; ");
  });
  const hide = () => panels.forEach(panel => {
    panel.cursor.style.opacity = 0;
    panel.peak.textContent = panel.said;
  });
  panels.forEach(({ canvas }) => {
    canvas.addEventListener("pointermove", event => {
      const box = canvas.querySelector(".chart").getBoundingClientRect();
      show(Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)));
    });
    canvas.addEventListener("pointerleave", hide);
  });
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach(folded => { folded.open = true; }));
})();
