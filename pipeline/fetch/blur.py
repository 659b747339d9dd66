"""Parts of a picture made unrecognisable: boxes around faces, as a table gives them.

As ImageNet's faces were blurred (and img2dataset does): a box grows by a tenth of its longer side, and the
blur fades out over its edge (https://github.com/princetonvisualai/imagenet-face-obfuscation).
"""

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFilter

GROWTH = 0.1  # of a box's longer side, also the blur's radius for the largest box

# Left, top, right and bottom of each, as shares of the upright picture's sides.
Boxes = Sequence[Sequence[float]]


def blurred(image: Image.Image, boxes: Boxes) -> Image.Image:
    """Return an RGB picture with these boxes blurred; equal inputs give equal pixels."""
    if not boxes:
        return image
    mask, longest = Image.new("L", image.size), 0.0
    draw = ImageDraw.Draw(mask)
    for box in boxes:
        left, right = (share * image.width for share in (box[0], box[2]))
        top, bottom = (share * image.height for share in (box[1], box[3]))
        side = max(right - left, bottom - top)
        more = GROWTH * side
        draw.rectangle((left - more, top - more, right + more, bottom + more), fill=255)
        longest = max(longest, side)
    blur = ImageFilter.GaussianBlur(max(1.0, GROWTH * longest))
    return Image.composite(image.filter(blur), image, mask.filter(blur))
