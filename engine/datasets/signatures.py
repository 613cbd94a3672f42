# SPDX-License-Identifier: MIT
"""What kind of file begins with some bytes."""

from __future__ import annotations

import struct

_PHOTOS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*")
_STILL_BRANDS = (
    b"heic",
    b"heix",
    b"mif1",
    b"msf1",
    b"avif",
    b"crx ",
)  # the container of .mp4, with a photo in it
_TRANSPORT_PACKET = 188  # bytes from one sync byte of an MPEG transport stream to the next


def kind_of_bytes(head: bytes, size: int) -> str:
    """Return what a file is that begins with `head` (a few kB) and has `size` bytes.

    One of "photo", "video", "ply", "npy", "npz", "torch", "safetensors", "voxels", "json", "text", "empty", "unknown".
    """
    if not head:
        return "empty"
    if head.startswith(b"\x93NUMPY"):
        return "npy"
    if head.startswith((b"ply\n", b"ply\r")):
        return "ply"
    if head.startswith(b"NVVOXELS"):  # what engine/export/compact.py writes
        return "voxels"
    if head.startswith(b"PK\x03\x04"):
        return "npz" if b".npy" in head[:4096] else "torch" if b"data.pkl" in head[:4096] else "unknown"
    if head.startswith(_PHOTOS) or (head.startswith(b"RIFF") and head[8:12] == b"WEBP"):
        return "photo"
    if head[4:8] == b"ftyp":
        return "photo" if head[8:12] in _STILL_BRANDS else "video"
    if _is_video(head):
        return "video"
    if len(head) > 8 and head[8:9] == b"{" and struct.unpack("<Q", head[:8])[0] <= size - 8:
        return "safetensors"
    return _text_kind(head)


def _is_video(head: bytes) -> bool:
    if head.startswith(b"RIFF"):
        return head[8:12] == b"AVI "
    if head.startswith((b"\x1a\x45\xdf\xa3", b"\0\0\x01\xba", b"\0\0\x01\xb3", b"FLV\x01")):
        return True
    if head[4:8] in (b"moov", b"mdat", b"wide", b"free"):  # QuickTime from before there was a brand
        return True
    return head[:1] == b"G" and head[_TRANSPORT_PACKET : _TRANSPORT_PACKET + 1] == b"G"


def _text_kind(head: bytes) -> str:
    if b"\0" in head:
        return "unknown"
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # not merely a character cut in two by the end of `head`
            return "unknown"
        text = head[: error.start].decode("utf-8-sig")
    return "json" if text.lstrip()[:1] in ("{", "[") else "text"
