/** From values to places on a chart, and the round values that its axes show. */

/** A function from values between `low` and `high` to places between `from` and `to`. */
export function scale(low, high, from, to) {
  const span = high - low || 1;
  return (value) => from + ((value - low) / span) * (to - from);
}

/** Round values between `low` and `high`, about so many: steps of 1, 2 or 5 times a power of ten. */
export function ticks(low, high, about = 5) {
  if (!(high > low) || !Number.isFinite(high - low)) return [low];
  const rough = (high - low) / about;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((factor) => factor * power >= rough) || 10);
  const digits = Math.max(0, -Math.floor(Math.log10(step)));
  const found = [];
  for (let count = Math.ceil(low / step - 1e-9); count * step <= high + step * 1e-9; count += 1) {
    found.push(Number((count * step).toFixed(Math.min(digits, 20))));
  }
  return found;
}

/** The least and the largest finite value of all lists, with a margin; from -1 to 1 where there is none. */
export function extent(lists, margin = 0.06) {
  let low = Infinity;
  let high = -Infinity;
  for (const list of lists) {
    for (const value of list) {
      if (Number.isFinite(value)) {
        low = Math.min(low, value);
        high = Math.max(high, value);
      }
    }
  }
  if (low > high) return [-1, 1];
  const room = (high - low || Math.abs(high) || 1) * margin;
  return [low - room, high + room];
}
