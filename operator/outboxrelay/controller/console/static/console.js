// Renews what is marked data-live, in place: the filter, the scrolling and what is unfolded stay as they are.
// Without this script every page is whole; it only has to be reloaded by hand.
"use strict";
(() => {
  const every = 10000;
  const bar = document.getElementById("asof");
  const pause = document.createElement("button");
  let paused = sessionStorage.getItem("paused") === "yes";
  let known = bar.firstChild.textContent.trim();
  let busy = false;

  function say(text, failed) {
    bar.firstChild.textContent = text + " ";
    bar.classList.toggle("failed", failed);
  }

  function label() {
    pause.textContent = paused ? "Go on" : "Pause";
    pause.setAttribute("aria-pressed", String(paused));
  }

  function replace(old, fresh) {
    const focused = old.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    const open = new Map([...old.querySelectorAll("details[id]")].map((item) => [item.id, item.open]));
    const left = [...old.querySelectorAll(".scroll, .picture")].map((item) => item.scrollLeft);
    old.replaceWith(fresh);
    for (const item of fresh.querySelectorAll("details[id]")) {
      if (open.has(item.id)) item.open = open.get(item.id);
    }
    [...fresh.querySelectorAll(".scroll, .picture")].forEach((item, at) => { item.scrollLeft = left[at] || 0; });
    if (focused) {
      [...fresh.querySelectorAll("a[href]")].find((item) => item.getAttribute("href") === focused)?.focus();
    }
  }

  async function renew() {
    const selecting = !document.getSelection().isCollapsed;
    if (busy || paused || document.hidden || selecting) return;
    busy = true;
    try {
      const answer = await fetch(location.href, { signal: AbortSignal.timeout(every) });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const sections = [...page.querySelectorAll("[data-live]")];
      if (sections.some((section) => !document.getElementById(section.id)) || !sections.length) {
        location.reload();
        return;
      }
      for (const section of sections) replace(document.getElementById(section.id), document.adoptNode(section));
      document.title = page.title;
      known = page.getElementById("asof").firstChild.textContent.trim();
      say(known, false);
    } catch {
      say(`${known}, and no answer since: is kubectl port-forward still there?`, true);
    } finally {
      busy = false;
    }
  }

  pause.type = "button";
  pause.addEventListener("click", () => {
    paused = !paused;
    sessionStorage.setItem("paused", paused ? "yes" : "no");
    label();
    renew();
  });
  label();
  document.getElementById("reload").replaceWith(pause);
  document.addEventListener("visibilitychange", renew);
  setInterval(renew, every);
})();
