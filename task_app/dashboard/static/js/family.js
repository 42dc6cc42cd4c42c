// The graph of a family: shows the present job first, and stays where it was scrolled to when its region is swapped.

const places = new Map(); // id of the figure → [left, top]

function scroll(figure) {
  const box = figure.querySelector(".family-scroll");
  const here = figure.querySelector(".member[aria-current]");
  let place = places.get(figure.id);
  if (!place && here) {
    const [outer, inner] = [box.getBoundingClientRect(), here.getBoundingClientRect()];
    place = [
      inner.left - outer.left + box.scrollLeft - (outer.width - inner.width) / 2,
      inner.top - outer.top + box.scrollTop - (outer.height - inner.height) / 2,
    ];
  }
  if (place) [box.scrollLeft, box.scrollTop] = place;
}

const show = () => document.querySelectorAll("figure.family").forEach(scroll);

document.addEventListener("scroll", (event) => {
  const figure = event.target.closest?.(".family-scroll")?.closest("figure");
  if (figure) places.set(figure.id, [event.target.scrollLeft, event.target.scrollTop]);
}, true);
document.addEventListener("live:swapped", show);
show();
