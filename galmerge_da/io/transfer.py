"""One file over HTTP: resumed where it broke off, tried again, checked, and there only when it is complete."""

import errno
import hashlib
import json
import os
import re
import shutil
import socket
import ssl
import time
from contextlib import contextmanager, suppress
from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from astropy.utils.data import conf
from tqdm import tqdm

from galmerge_da.exceptions import DownloadError

__all__ = ["RefusedError", "fetch", "fetch_json", "has_checksum", "locked", "not_found"]

#: Tries in a row that bring not a single byte, after the first.
RETRIES = 4

#: Seconds before the first of them; each later one waits twice as long, up to the second number.
WAIT = (1.0, 30.0)

_BLOCK = 2**20
_TRANSIENT = {408, 425, 429, 500, 502, 503, 504}
_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)$")


class RefusedError(DownloadError):
    """The server answered that it does not give this file."""


class _TransientError(Exception):
    """Worth another try, after so many seconds if the server says so."""

    def __init__(self, message, wait=0.0):
        super().__init__(message)
        self.wait = wait


@contextmanager
def locked(folder):
    """Let one process at a time download into a folder; others wait.

    Parameters
    ----------
    folder : `~pathlib.Path`
        Gets an empty file ``.lock``, which stays. The lock itself ends with its process.
    """
    with open(folder / ".lock", "a+b") as file:
        with suppress(OSError):  # some network file systems cannot lock; checks of the content still hold
            _lock(file)
        yield


try:
    import fcntl

    def _lock(file):
        fcntl.flock(file, fcntl.LOCK_EX)

except ImportError:  # Windows
    import msvcrt

    def _lock(file):
        msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)


def fetch(url, path, *, size=None, checksum=None, progress=False):
    """Download a file.

    What has arrived is kept in a hidden ``.part`` file, also after an error or
    an interrupt, and the next call goes on from there if the server's file is
    still the same.

    Parameters
    ----------
    url : str
    path : `~pathlib.Path`
        Where it goes; replaced at once when everything has arrived and is right.
    size : int, optional
        Published length in bytes.
    checksum : str, optional
        Published checksum, ``"md5:..."`` or ``"sha256:..."``.
    progress : bool, optional
        Show a bar.

    Raises
    ------
    DownloadError
        If there is no network, the server does not have the file, does not
        answer after several tries, the content is not what was published, or
        the disk is full.
    """
    part, note = (path.with_name(f".{path.name}.part{suffix}") for suffix in ("", ".json"))
    idle, anew = 0, False
    while True:
        before = _length(part)
        try:
            _receive(url, part, note, path, size, checksum, progress)
        except _TransientError as error:
            idle = 1 if _length(part) > before else idle + 1
            if idle > RETRIES:
                raise DownloadError(
                    f"{url}: {error}; given up after {RETRIES} tries without any progress. "
                    f"{_length(part)} bytes are kept, run it again to go on"
                ) from None
            time.sleep(max(error.wait, min(WAIT[0] * 2 ** (idle - 1), WAIT[1])))
            continue
        if checksum is None or has_checksum(part, checksum):
            break
        part.unlink()
        if anew or not before:
            raise DownloadError(
                f"{url}: what arrived does not have the published checksum {checksum}; it was discarded"
            )
        anew = True
    os.replace(part, path)
    note.unlink(missing_ok=True)


def fetch_json(url):
    """Download a JSON document.

    Parameters
    ----------
    url : str

    Returns
    -------
    object

    Raises
    ------
    DownloadError
        As for `fetch`, or if it is no JSON.
    """
    for number in range(RETRIES + 1):
        try:
            with _open(url, {"Accept": "application/json"}) as response:
                content = _read(response, -1)
        except _TransientError as error:
            if number == RETRIES:
                raise DownloadError(f"{url}: {error}; given up after {RETRIES + 1} tries") from None
            time.sleep(max(error.wait, min(WAIT[0] * 2**number, WAIT[1])))
            continue
        try:
            return json.loads(content)
        except ValueError as error:
            raise RefusedError(f"{url}: the answer is no JSON ({error})") from None


def has_checksum(path, checksum):
    """Whether a file has a checksum.

    Parameters
    ----------
    path : path-like
    checksum : str
        Name of an algorithm that `hashlib` knows, a colon, and hexadecimal digits.

    Returns
    -------
    bool
    """
    algorithm, _, expected = checksum.partition(":")
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False))
    return found.hexdigest() == expected.lower()


def not_found(host, reason):
    """What is said of a host whose name no server of names knows.

    Parameters
    ----------
    host : str
    reason : `socket.gaierror`

    Returns
    -------
    str
    """
    return f"{host} cannot be found ({reason}): is there a network?"


def _receive(url, part, note, path, size, checksum, progress):
    """Bring the part to its full length."""
    have, said = _resumable(part, note, url, checksum)
    if have and have == said["size"]:
        return
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        headers |= {"If-Range": said["validator"]} if said["validator"] else {}
    with _open(url, headers, part) as response:
        if response.status == 206:
            match = _CONTENT_RANGE.match(response.headers.get("Content-Range", ""))
            if match is None or (int(match[1]), int(match[2])) != (have, said["size"]):
                part.unlink()
                raise _TransientError("the server has another file now")
            total = said["size"]
        else:
            have, total = 0, response.headers.get("Content-Length")
            total = size if total is None else int(total)
            _check_answer(response, url, path, total, size)
            note.write_text(json.dumps({"url": url, "size": total, "validator": _validator(response.headers)}))
        _check_space(part, (total or 0) - have)
        with tqdm(
            total=total,
            initial=have,
            desc=path.name,
            unit="B",
            unit_scale=True,
            unit_divisor=1024,
            disable=not progress,
        ) as bar:
            _store(response, part, have, bar)
    if total is not None and _length(part) != total:
        raise _TransientError(f"the connection ended after {_length(part)} of {total} bytes")


def _resumable(part, note, url, checksum):
    """How many bytes there are to go on from, and what is known of the file they belong to."""
    try:
        said = json.loads(note.read_text())
        valid = said["url"] == url and isinstance(said["size"], int) and (said["validator"] or checksum)
        have = part.stat().st_size
    except (OSError, ValueError, KeyError, TypeError):
        return 0, None
    return (have, said) if valid and have <= said["size"] else (0, None)


def _store(response, part, have, bar):
    try:
        with open(part, "r+b" if have else "wb") as file:
            file.seek(have)
            while block := _read(response, _BLOCK):
                file.write(block)
                bar.update(len(block))
    except OSError as error:
        if error.errno in _FULL:
            raise DownloadError(
                f"the disk is full: {part} has {_length(part)} bytes; make room and run it again to go on"
            ) from None
        raise


def _check_answer(response, url, path, total, size):
    """DownloadError unless the answer may be the file."""
    kind = response.headers.get_content_type()
    if kind == "text/html" and path.suffix not in (".html", ".htm"):
        raise RefusedError(f"{url}: the answer is a web page, not the file; a log-in page of your network?")
    if size is not None and total != size:
        raise DownloadError(f"{url}: the server has {total} bytes, {size} are published")


def _check_space(part, missing):
    free = shutil.disk_usage(part.parent).free
    if missing > free:
        raise DownloadError(f"the disk is full: {missing} bytes are to come, {part.parent} has room for {free}")


def _validator(headers):
    """What tells one version of a file from another, or None."""
    tag = headers.get("ETag", "")
    return tag if tag.startswith('"') else headers.get("Last-Modified")


def _open(url, headers, part=None):
    """The server's answer."""
    if not conf.allow_internet:
        raise DownloadError(f"{url}: astropy.utils.data.conf.allow_internet is False")
    host = urlsplit(url).hostname
    try:
        return urlopen(
            Request(url, headers={"User-Agent": "galmerge_da", **headers}),
            timeout=conf.remote_timeout,
        )
    except HTTPError as error:
        with error:
            if error.code == 416 and part is not None:
                part.unlink(missing_ok=True)
            elif error.code not in _TRANSIENT:
                raise RefusedError(f"{url}: the server answers {error.code} {error.reason}") from None
            wait = error.headers.get("Retry-After", "")
            raise _TransientError(
                f"the server answers {error.code} {error.reason}", min(float(wait), 60.0) if wait.isdigit() else 0.0
            ) from None
    except URLError as error:
        if isinstance(error.reason, socket.gaierror):
            raise DownloadError(f"{not_found(host, error.reason)} Needed: {url}") from None
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise DownloadError(f"{host} cannot be trusted ({error.reason})") from None
        raise _TransientError(f"{host} cannot be reached ({error.reason}); is there a network?") from None
    except (HTTPException, OSError) as error:
        raise _TransientError(f"{host} cannot be reached ({_name(error)})") from None


def _read(response, n):
    try:
        return response.read(n)
    except (HTTPException, OSError) as error:
        raise _TransientError(f"the connection broke ({_name(error)})") from None


def _name(error):
    return str(error) or type(error).__name__


def _length(path):
    return path.stat().st_size if path.exists() else 0
