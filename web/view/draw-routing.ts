// Draws maps of experts and the favourites of a picture's patches on canvases, in colours that colour-blind eyes tell apart.

/** From little to much, each lighter than the last: seen without colours, too. */
const scale = [
  [98, 44, 146],
  [59, 82, 139],
  [33, 145, 140],
  [94, 201, 98],
  [253, 231, 37],
] as const;

/** Of an expert that nobody chose. */
export const emptyColour = "rgb(128 128 128 / 0.14)";

/** `share` 0 … 1 */
export function colourOf(share: number): string {
  const place = Math.min(Math.max(share, 0), 1) * (scale.length - 1);
  const [low, high] = [scale[Math.floor(place)]!, scale[Math.ceil(place)]!];
  const mixed = low.map((value, i) => Math.round(value + (high[i]! - value) * (place % 1)));
  return `rgb(${mixed.join(" ")})`;
}

/** Okabe and Ito's palette, for the experts that are favourites most often; all others share one. */
const favouriteColours = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#f0e442"] as const;
export const otherColour = "#777777";

export function favouriteColour(rank: number): string {
  return favouriteColours[rank] ?? otherColour;
}

export const colouredExperts = favouriteColours.length;

/** `shares`: a row for each layer, a column for each expert, a pixel each; `top` gets the brightest colour. */
export function drawMap(canvas: HTMLCanvasElement, shares: readonly (readonly number[])[], top: number): void {
  canvas.width = shares[0]?.length ?? 0;
  canvas.height = shares.length;
  const context = canvas.getContext("2d")!;
  shares.forEach((row, layer) =>
    row.forEach((share, expert) => {
      context.fillStyle = share === 0 ? emptyColour : colourOf(share / top);
      context.fillRect(expert, layer, 1, 1);
    }),
  );
}

const longestSidePx = 640;
const smallestLabelledPx = 26;

export type FavouriteCell = { readonly expert: number | undefined; readonly colour: string };

/** The picture with its patches coloured; what was not computed stays as it is. */
export function drawFavourites(
  canvas: HTMLCanvasElement,
  image: HTMLImageElement,
  grid: { rows: number; columns: number },
  cells: readonly FavouriteCell[],
): void {
  const zoom = longestSidePx / Math.max(image.naturalWidth, image.naturalHeight);
  canvas.width = Math.round(image.naturalWidth * zoom);
  canvas.height = Math.round(image.naturalHeight * zoom);
  const context = canvas.getContext("2d")!;
  context.imageSmoothingEnabled = zoom < 1;
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  const [width, height] = [canvas.width / grid.columns, canvas.height / grid.rows];
  context.font = `600 ${Math.round(Math.min(16, width / 2.6))}px system-ui, sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  cells.forEach(({ expert, colour }, i) => {
    if (expert === undefined) return;
    const [left, top] = [(i % grid.columns) * width, Math.floor(i / grid.columns) * height];
    context.globalAlpha = 0.62;
    context.fillStyle = colour;
    context.fillRect(left + 0.5, top + 0.5, width - 1, height - 1);
    context.globalAlpha = 1;
    if (Math.min(width, height) < smallestLabelledPx) return;
    context.strokeStyle = "#000000b0";
    context.lineWidth = 3;
    context.strokeText(String(expert), left + width / 2, top + height / 2);
    context.fillStyle = "#ffffff";
    context.fillText(String(expert), left + width / 2, top + height / 2);
  });
}
