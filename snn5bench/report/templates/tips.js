"use strict";
/* What both pages share: explanations on hover and focus, links into folded parts, copying. */
(() => {
  /* One tooltip for mouse, finger and keyboard alike; Escape hides it. A note's text is in the list of notes, that of a sign
     inside it, where a screen reader finds both. */
  const tip = document.getElementById("tip");
  let owner = null;
  const explained = (event) => (event.target instanceof Element ? event.target.closest("[data-why], .told") : null);

  function hide() {
    owner = null;
    tip.hidden = true;
  }

  function show(event) {
    const target = explained(event);
    if (!target || target === owner) return;
    const words = target.dataset.why ? document.getElementById("why-" + target.dataset.why) : target.querySelector(".vh");
    if (!words) return;
    owner = target;
    tip.textContent = words.textContent.replace(/^: /, "");
    place();
  }

  function place() {
    const box = owner.getBoundingClientRect();
    tip.hidden = box.bottom < 0 || box.top > window.innerHeight;
    const size = tip.getBoundingClientRect();
    const below = box.bottom + 6 + size.height < window.innerHeight;
    tip.style.left = Math.max(6, Math.min(box.left, window.innerWidth - size.width - 6)) + "px";
    tip.style.top = (below ? box.bottom + 6 : box.top - size.height - 6) + "px";
  }

  async function copy(button) {
    const said = document.getElementById("said");
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      said.textContent = "Copied";
      button.firstChild.textContent = "Copied";
    } catch {
      window.getSelection().selectAllChildren(button.previousElementSibling);
      said.textContent = "Could not copy; the command is selected";
      button.firstChild.textContent = "Selected";
    }
    setTimeout(() => { button.firstChild.textContent = "Copy"; }, 2000);
  }

  function openTarget() {
    const target = location.hash ? document.getElementById(decodeURIComponent(location.hash.slice(1))) : null;
    if (!target) return;
    for (let part = target.closest("details"); part; part = part.parentElement.closest("details")) part.open = true;
    target.scrollIntoView();
    if (target instanceof HTMLDetailsElement) target.querySelector("summary").focus();
  }

  document.addEventListener("mouseover", show);
  document.addEventListener("focusin", show);
  document.addEventListener("mouseout", (event) => {
    if (owner?.contains(event.target) && !owner.contains(event.relatedTarget)) hide();
  });
  document.addEventListener("focusout", hide);
  /* What has the focus or lies below the pointer was perhaps only now scrolled into view. */
  document.addEventListener("scroll", () => {
    if (owner) (owner.matches(":focus, :hover") ? place : hide)();
  }, true);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") hide();
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button.copy");
    if (button) copy(button);
  });
  window.addEventListener("hashchange", openTarget);
  openTarget();
})();
