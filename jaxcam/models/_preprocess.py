"""The preprocessing of pictures for a checkpoint: upright RGB, resized by PIL, cropped or squeezed, normalised."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from PIL import ExifTags, Image

from .._dtypes import HasArray

Picture = Image.Image | HasArray  # such as a uint8 array

BILINEAR, BICUBIC = Image.Resampling.BILINEAR, Image.Resampling.BICUBIC
_BAND = 4 << 20  # pixels that are converted at once, as conversions take several copies
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, kw_only=True)
class Preprocess:
    """Resize the shorter side, crop the centre, scale to [0, 1], subtract the mean, divide by the deviation.

    Calling it with a picture gives float32 (size, size, 3). A picture is a uint8 array (H, W), (H, W, 3) or
    (H, W, 4), or a PIL picture of any mode with a known range. It is turned upright (EXIF), transparency is
    laid over white, and 16-bit grey is scaled (not clipped) to 8 bits. Sizes and offsets are rounded as in
    torchvision and the resizing is PIL's, with antialiasing, so the pixels are torchvision's.

    Attributes:
        resize: shorter side before the crop, in pixels.
        size: sides of the result, in pixels.
        mean, std: of the three channels, for values in [0, 1].
        interpolation: PIL's way of resizing.
        keep_aspect: whether the picture keeps its proportions, and loses its ends in the crop; otherwise both sides are
            resized to `resize`.
    """

    resize: int
    size: int
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    interpolation: Image.Resampling = BILINEAR
    keep_aspect: bool = True

    def __call__(self, picture: Picture, *, crop: bool = True) -> np.ndarray:
        """The normalised picture, float32 (size, size, 3); `crop=False` squeezes the whole picture instead.

        Raises:
            TypeError: not a uint8 array or PIL picture.
            ValueError: another shape, a picture that is empty or too long for its width, or a mode or values without a
                known range.
        """
        scaled = self.view(picture, crop=crop).astype(np.float32) / np.float32(255)
        return (scaled - np.asarray(self.mean, np.float32)) / np.asarray(self.std, np.float32)

    def view(self, picture: Picture, *, crop: bool = True) -> np.ndarray:
        """What the model sees before normalisation, uint8 (size, size, 3): the ground for an overlay."""
        picture = upright_rgb(picture)
        if not crop:
            return np.asarray(picture.resize((self.size, self.size), self.interpolation))
        width, height = picture.size
        short = min(width, height)
        if self.keep_aspect:
            width, height = int(self.resize * width / short), int(self.resize * height / short)
        else:
            width = height = self.resize
        if Image.MAX_IMAGE_PIXELS is not None and width * height > Image.MAX_IMAGE_PIXELS:
            raise ValueError(
                f"too long for its width: {picture.width}x{picture.height} would be resized to {width}x{height}"
            )
        picture = picture.resize((width, height), self.interpolation)
        # Python rounds halves to even; torchvision's offsets rely on it.
        left, top = round((width - self.size) / 2), round((height - self.size) / 2)
        return np.asarray(picture.crop((left, top, left + self.size, top + self.size)))

    def described(self) -> dict[str, Any]:
        """The attributes as JSON can hold them; `keep_aspect` only where it is false, as what was written before it."""
        plain = asdict(self) | {"interpolation": self.interpolation.name.lower()}
        if self.keep_aspect:
            del plain["keep_aspect"]
        return plain


IMAGENET = Preprocess(resize=256, size=224)
# torchvision's later recipe trains on smaller crops and is tested closer up.
RESIZE_232 = Preprocess(resize=232, size=224)
# SWAG: pretrained on hashtags, then either given a linear head or fine-tuned as a whole on larger pictures.
SWAG_LINEAR = Preprocess(resize=224, size=224, interpolation=BICUBIC)
SWAG_E2E = Preprocess(resize=384, size=384, interpolation=BICUBIC)
# The CIFAR checkpoints were trained with ImageNet's mean and deviation.
CIFAR = Preprocess(resize=32, size=32)


def upright_rgb(picture: Picture) -> Image.Image:
    """Any picture that `Preprocess` takes as PIL's RGB, turned upright; one that is so already is equal to it.

    Raises TypeError and ValueError as `Preprocess` does.
    """
    picture = _as_picture(picture)
    turn = _TURNS.get(orientation(picture))
    picture = _rgb(picture)
    if turn is not None:
        picture = picture.transpose(turn)
        picture.info.clear()  # it says which way up, and PIL copies it
    return picture


def orientation(picture: Image.Image) -> int:
    """EXIF's, 1 to 8; 1, which is upright, where there is none or the metadata is damaged."""
    try:
        return int(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # PIL raises whatever damaged metadata leads it to; the pixels may be whole
        return 1


def _as_picture(picture: Picture) -> Image.Image:
    if isinstance(picture, Image.Image):
        if 0 in picture.size:
            raise ValueError(f"the picture is empty: {picture.width}x{picture.height}")
        return picture
    if isinstance(picture, (str, bytes)) or not hasattr(picture, "__array__"):
        raise TypeError(
            f"expected an array or a PIL picture (PIL.Image.open reads a file), got {type(picture).__name__}"
        )
    array = np.asarray(picture)
    if array.dtype != np.uint8:
        raise TypeError(f"expected a uint8 array with values 0 to 255, got {array.dtype}")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)) or 0 in array.shape:
        raise ValueError(f"expected an array (H, W), (H, W, 3) or (H, W, 4), got shape {array.shape}")
    return Image.fromarray(np.ascontiguousarray(array))


def _rgb(picture: Image.Image) -> Image.Image:
    if picture.mode == "F":
        raise ValueError("a picture of floats (mode 'F') has no known range; scale it to uint8 first")
    picture.load()
    sixteen = picture.mode == "I" or picture.mode.startswith("I;16")
    if not sixteen and not picture.has_transparency_data:
        return picture if picture.mode == "RGB" else picture.convert("RGB")
    convert = _from_16_bits if sixteen else _over_white
    width, height = picture.size
    rows = max(1, _BAND // width)
    if height <= rows:
        return convert(picture)
    upright = Image.new("RGB", picture.size)
    for top in range(0, height, rows):
        upright.paste(convert(picture.crop((0, top, width, min(top + rows, height)))), (0, top))
    return upright


def _over_white(picture: Image.Image) -> Image.Image:
    layers = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layers.size, "white"), layers).convert("RGB")


def _from_16_bits(picture: Image.Image) -> Image.Image:
    """PIL's own conversion clips at 255. Older PILs read a 16-bit file as mode "I": the same scale there."""
    values = np.asarray(picture).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise ValueError(
            f"expected 16-bit grey values, got {values.min()} to {values.max()} (mode {picture.mode!r})"
        )
    return Image.fromarray(((values + 128) // 257).astype(np.uint8)).convert("RGB")
