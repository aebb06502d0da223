"""The rotation residual: what of a galaxy is left when it is turned by half a circle and taken away."""

import torch
from torch.nn import functional

__all__ = ["rotate_about_center", "rotation_residual"]

#: The centre of symmetry is looked for within this many pixels of the frame's centre along each axis.
_REACH = 1
#: Width in pixels of the Gaussian that weights pixels in the search, and half the side of the square it uses.
_SIGMA = 12.0
_HALF = 26


def rotation_residual(images: torch.Tensor) -> torch.Tensor:
    """Absolute difference of images and their rotation by 180 degrees about their centres of symmetry.

    Parameters
    ----------
    images : `~torch.Tensor`, shape (N, H, W)

    Returns
    -------
    `~torch.Tensor`, shape (N, H, W)
        Of the same type.
    """
    return (images - rotate_about_center(images)[0]).abs()


def rotate_about_center(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Images turned by 180 degrees about the centre, a fraction of a pixel exact, to which they are most symmetric.

    The sum of squared differences between an image and its rotation about c is
    smallest where the convolution of the image with itself is largest, at 2 c:
    one Fourier transform tries all centres, and a parabola through the largest
    value and its neighbours gives the fraction. Pixels count by a Gaussian of 12
    pixels about the middle of the frame, so that neighbours do not decide, and
    the centre is at most one pixel off it, so that two equal nuclei are not taken
    for the two sides of one galaxy.

    Parameters
    ----------
    images : `~torch.Tensor`, shape (N, H, W)

    Returns
    -------
    rotated : `~torch.Tensor`, shape (N, H, W)
        Interpolated linearly; what comes from outside the frame is its edge.
    centers : `~torch.Tensor`, shape (N, 2)
        In pixels, y and x, less those of the frame's centre.

    References
    ----------
    Conselice 2003, ApJS 147, 1, who minimises the asymmetry over the centre of rotation.
    """
    n, height, width = images.shape
    shift = _twice_the_center(images)
    turn = images.new_zeros(n, 2, 3)
    turn[:, 0, 0] = turn[:, 1, 1] = -1
    turn[:, :, 2] = 2 * shift.flip(1) / shift.new_tensor([width, height])
    grid = functional.affine_grid(turn, [n, 1, height, width], align_corners=False)
    rotated = functional.grid_sample(images[:, None], grid, align_corners=False, padding_mode="border")[:, 0]
    return rotated, shift / 2


def _twice_the_center(images):
    """Where the convolution of each image with itself is largest, less where it is for the frame's centre."""
    (rows, first_y), (columns, first_x) = (_middle(size) for size in images.shape[1:])
    window = _window(rows, images.shape[1], images)[:, None] * _window(columns, images.shape[2], images)
    size = 2 * _HALF + 12
    overlap = torch.fft.irfft2(torch.fft.rfft2(images[:, rows, columns] * window, s=(size, size)).square())
    near = torch.arange(-2 * _REACH - 1, 2 * _REACH + 2, device=images.device)
    overlap = overlap[:, (first_y + near)[:, None] % size, (first_x + near) % size]
    inner = overlap[:, 1:-1, 1:-1].flatten(1).argmax(1)
    y, x = inner // (4 * _REACH + 1) + 1, inner % (4 * _REACH + 1) + 1
    k = torch.arange(len(images), device=images.device)
    best = overlap[k, y, x]
    off_y = _vertex(overlap[k, y - 1, x], best, overlap[k, y + 1, x])
    off_x = _vertex(overlap[k, y, x - 1], best, overlap[k, y, x + 1])
    return torch.stack([near[y] + off_y, near[x] + off_x], 1)


def _middle(size):
    """The pixels along one axis that take part, and the index of the frame's centre in the convolution."""
    first = max(0, (size - 2 * _HALF) // 2)
    return slice(first, size - first), size - 1 - 2 * first


def _window(pixels, size, images):
    place = torch.arange(pixels.start, pixels.stop, device=images.device) - (size - 1) / 2
    return torch.exp(-(place**2) / (2 * _SIGMA**2))


def _vertex(before, here, after):
    """Where the parabola through three equidistant values has its top, from the middle one."""
    curvature = before - 2 * here + after
    curved = curvature < 0
    top = (before - after) / (2 * torch.where(curved, curvature, -torch.ones_like(curvature)))
    return torch.where(curved, top, torch.zeros_like(top)).clamp(-0.5, 0.5)
