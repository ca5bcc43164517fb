"use strict";

// The card's two pictures: the image around a pixel, and where in the whole image that is.
report.pictures = (() => {
  const CROP = 48; // least side of the part that is shown, in pixels of the stored picture
  const WHOLE = 352; // longer side of the whole image on its canvas
  const cache = new Map();
  let wanted = null;

  const load = (image) => {
    if (!cache.has(image.id)) {
      const element = new Image();
      element.src = image.picture;
      cache.set(image.id, element.decode().then(() => element));
    }
    return cache.get(image.id);
  };

  const frame = (context, x, y, width, height) => {
    for (const [line, color] of [[5, "#fff"], [2, "#e4002b"]]) {
      context.lineWidth = line;
      context.strokeStyle = color;
      context.strokeRect(x, y, width, height);
    }
  };

  // The square of the original image that the crop shows.
  const around = (image, picture, row, col) => {
    const side = Math.round(CROP * Math.max(1, image.width / picture.naturalWidth));
    return { left: col + 0.5 - side / 2, top: row + 0.5 - side / 2, side };
  };

  const drawCrop = (canvas, image, picture, { left, top, side }, row, col) => {
    const context = canvas.getContext("2d");
    const scale = canvas.width / side;
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.imageSmoothingEnabled = false; // what the network saw, not what lies between
    context.drawImage(picture, -left * scale, -top * scale, image.width * scale, image.height * scale);
    const least = Math.max(scale, 8); // or the mark of a pixel would be thinner than its line
    frame(context, (col + 0.5 - left) * scale - least / 2, (row + 0.5 - top) * scale - least / 2, least, least);
  };

  const drawWhole = (canvas, image, picture, { left, top, side }) => {
    const scale = WHOLE / Math.max(image.width, image.height);
    canvas.width = Math.round(image.width * scale);
    canvas.height = Math.round(image.height * scale);
    const context = canvas.getContext("2d");
    context.drawImage(picture, 0, 0, canvas.width, canvas.height);
    const [x, y] = [Math.max(left, 0), Math.max(top, 0)];
    const [right, bottom] = [Math.min(left + side, image.width), Math.min(top + side, image.height)];
    frame(context, x * scale, y * scale, (right - x) * scale, (bottom - y) * scale);
  };

  // Draws both; pictures are decoded when they are first wanted, and only the last one asked for is drawn.
  const draw = async (crop, whole, image, row, col) => {
    wanted = image;
    const picture = await load(image);
    if (wanted !== image) return null;
    const part = around(image, picture, row, col);
    drawCrop(crop, image, picture, part, row, col);
    drawWhole(whole, image, picture, part);
    return part;
  };

  return { draw };
})();
