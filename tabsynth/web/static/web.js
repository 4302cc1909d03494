"use strict";
document.documentElement.classList.add("js");
// The page works without this file: it adds dropping of files, live progress and estimates that become ready.
document.querySelectorAll("[data-drop]").forEach((form) => {
  const input = form.querySelector("input[type=file]");
  const name = form.querySelector("[data-name]");
  const shown = name.textContent;
  const send = () => {
    name.textContent = input.files.length ? "reading " + input.files[0].name + " …" : shown;
    if (input.files.length) form.requestSubmit();
  };
  input.addEventListener("change", send);
  form.addEventListener("dragover", (event) => { event.preventDefault(); form.classList.add("over"); });
  form.addEventListener("dragleave", () => form.classList.remove("over"));
  form.addEventListener("drop", (event) => {
    event.preventDefault();
    form.classList.remove("over");
    if (event.dataTransfer.files.length) { input.files = event.dataTransfer.files; send(); }
  });
});
document.querySelectorAll("form").forEach((form) => {
  form.addEventListener("submit", () => form.classList.add("sent"));
});
document.querySelectorAll("[data-estimate]").forEach((place) => {
  const source = new EventSource(place.dataset.estimate);
  source.onmessage = async (event) => {
    if (JSON.parse(event.data).state === "running") return;
    source.close();
    // Only the estimates are replaced: a reload would lose what has been chosen and typed meanwhile.
    const answer = await fetch(location.pathname);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const losses = fresh.querySelectorAll(".loss");
    document.querySelectorAll(".loss").forEach((loss, i) => { if (losses[i]) loss.replaceWith(losses[i]); });
    const note = fresh.getElementById("estimate");
    if (note) document.getElementById("estimate").replaceWith(note);
  };
});
document.querySelectorAll("[data-events]").forEach((place) => {
  if (!place.dataset.events) return;
  const source = new EventSource(place.dataset.events);
  source.onmessage = (event) => {
    const job = JSON.parse(event.data);
    if (job.state !== "running") { source.close(); location.reload(); return; }
    place.querySelector("[data-ring]").setAttribute("stroke-dasharray", job.percent + " 100");
    place.querySelector("[data-percent]").textContent = job.percent + " %";
    document.title = job.percent + " % · tabsynth";
    job.phases.forEach((phase) => {
      const item = place.querySelector("[data-phase=" + phase.name + "]");
      item.className = phase.state;
      if (phase.state === "now" && !item.hasAttribute("aria-current")) {
        place.querySelector("[data-message]").textContent = phase.title + " " + phase.words + ". You may close this page; the work goes on.";
      }
      if (phase.state === "now") item.setAttribute("aria-current", "step"); else item.removeAttribute("aria-current");
    });
    const figure = place.querySelector("[data-curve]");
    figure.hidden = !job.curve;
    figure.querySelector("path").setAttribute("d", job.curve);
  };
});
