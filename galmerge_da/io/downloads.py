"""The published data of the DeepMerge papers: what there is, and how it is fetched once and kept."""

import hashlib
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astropy.config import get_cache_dir

from galmerge_da.exceptions import GalmergeWarning, InputError
from galmerge_da.io._types import FilePath
from galmerge_da.io.transfer import RefusedError, fetch, fetch_json, has_checksum, locked
from galmerge_da.options import suggest

__all__ = ["DATASETS", "RemoteDataSet", "RemoteDomain", "dataset_folder", "download", "get_dataset"]


@dataclass(frozen=True)
class RemoteDomain:
    """Files of one domain.

    Attributes
    ----------
    images : str
        File of images ``(N, C, H, W)``.
    labels : str or None
        File of labels; None where they are in the file of images.
    survey : str
        Preset that says what the images are.
    """

    images: str
    labels: str | None
    survey: str


@dataclass(frozen=True)
class RemoteDataSet:
    """A published pair of domains.

    Attributes
    ----------
    name : str
    summary : str
    server : str
        Scheme and host.
    path : str
        Of a file on the server, with ``{file}`` for its name.
    source, target : RemoteDomain
    paired : bool
        Whether row i of both domains is said to show the same galaxy.
    record : str or None
        Path of a JSON document, in the form of Zenodo's, that has the lengths and checksums of all files.
    reference : str
    real : bool
        Whether the target's galaxies, and so its labels, are real ones.
    """

    name: str
    summary: str
    server: str
    path: str
    source: RemoteDomain
    target: RemoteDomain
    paired: bool
    record: str | None = None
    reference: str = ""
    real: bool = False

    @property
    def files(self) -> tuple[str, ...]:
        """Names of all files."""
        domains = (self.source, self.target)
        return tuple(file for domain in domains for file in (domain.images, domain.labels) if file is not None)

    def url(self, file: str, base_url: str | None = None) -> str:
        """Where a file is, there or on a mirror."""
        return (base_url or self.server) + self.path.format(file=file)


_ZENODO: dict[str, Any] = {
    "server": "https://zenodo.org",
    "path": "/records/4507941/files/{file}?download=1",
    "record": "/api/records/4507941",
    "reference": "Ciprijanovic et al. 2021, MNRAS 506, 677; doi:10.5281/zenodo.4507941",
}
_MAST = "hlsp_deepmerge_hst-jwst_acs-wfc3-nircam_illustris-z2_f814w-f160w-f356w_v1_sim-{}.fits"

#: The published data sets that `download` fetches: name -> what is known of one, such as its ``summary``,
#: its ``reference``, the names of its ``files``, and the ``url`` of each.
DATASETS = {
    dataset.name: dataset
    for dataset in (
        RemoteDataSet(
            "deepmerge-simsim",
            "Illustris-1 galaxies at z = 2 in three filters, without noise and with it",
            source=RemoteDomain(
                "SimSim_SOURCE_X_Illustris2_pristine.npy",
                "SimSim_SOURCE_y_Illustris2_pristine.npy",
                "deepmerge-z2-pristine",
            ),
            target=RemoteDomain(
                "SimSim_TARGET_X_Illustris2_noisy.npy", "SimSim_TARGET_y_Illustris2_noisy.npy", "deepmerge-z2"
            ),
            paired=True,
            **_ZENODO,
        ),
        RemoteDataSet(
            "deepmerge-simreal",
            "Illustris-1 galaxies at z = 0 as SDSS sees them, and post-mergers and others of SDSS",
            source=RemoteDomain("SimReal_SOURCE_X_Illustris0.npy", "SimReal_SOURCE_y_Illustris0.npy", "sdss"),
            target=RemoteDomain(
                "SimReal_TARGET_X_postmergers_SDSS.npy", "SimReal_TARGET_y_postmergers_SDSS.npy", "sdss"
            ),
            paired=False,
            real=True,
            **_ZENODO,
        ),
        RemoteDataSet(
            "deepmerge-mast",
            "The galaxies at z = 2 of the first paper, as FITS, without noise and with it",
            server="https://archive.stsci.edu",
            path="/hlsps/deepmerge/{file}",
            source=RemoteDomain(_MAST.format("pristine"), None, "deepmerge-z2-pristine"),
            target=RemoteDomain(_MAST.format("noisy"), None, "deepmerge-z2"),
            paired=True,
            reference="Ciprijanovic et al. 2020, A&C 32, 100390; doi:10.17909/t9-vqk6-pc80",
        ),
    )
}


def get_dataset(name):
    """A published data set by its name.

    Parameters
    ----------
    name : str

    Returns
    -------
    RemoteDataSet

    Raises
    ------
    InputError
        If there is none of this name.
    """
    if name not in DATASETS:
        raise InputError(
            f"no published data set {name!r}{suggest(str(name), DATASETS)}; there are {', '.join(DATASETS)}"
        )
    return DATASETS[name]


def dataset_folder(name):
    """Where a data set is kept unless another folder is named: in astropy's cache.

    Parameters
    ----------
    name : str

    Returns
    -------
    `~pathlib.Path`
        It may not exist yet.
    """
    return Path(get_cache_dir()) / "galmerge_da" / get_dataset(name).name


def download(
    name: str,
    folder: FilePath | None = None,
    *,
    base_url: str | None = None,
    verify: bool = False,
    progress: bool = False,
) -> list[Path]:
    """Fetch the files of a published data set, those that are not there yet.

    Parameters
    ----------
    name : str
        ``"deepmerge-simsim"``, ``"deepmerge-simreal"`` or ``"deepmerge-mast"``.
    folder : path-like, optional
        Where to put them; by default into astropy's cache folder.
    base_url : str, optional
        Scheme and host of a mirror with the same paths.
    verify : bool, optional
        Compare files that are there already with the published lengths and
        checksums too; one that differs is fetched again.
    progress : bool, optional
        Show a bar for each file.

    Returns
    -------
    list of `~pathlib.Path`

    Raises
    ------
    InputError
        If there is no data set of this name.
    DownloadError
        If there is no network, a file is not on the server, its content is
        not what was published, or the disk is full. What has arrived is kept,
        and the next call goes on from there.

    Warns
    -----
    GalmergeWarning
        If the published checksums cannot be read: the files are then checked by their length only.

    Notes
    -----
    Zenodo publishes the length and MD5 of each file: they are read at the time
    of the download, and the files compared with them. MAST publishes no checksums.
    Timeout and permission are those of ``astropy.utils.data.conf``.
    """
    dataset = get_dataset(name)
    folder = dataset_folder(name) if folder is None else Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / file for file in dataset.files]
    with locked(folder):
        wanted = paths if verify else [path for path in paths if not path.is_file()]
        published = _published_files(dataset, base_url) if wanted else {}
        for path in wanted:
            size, checksum = published.get(path.name, (None, None))
            if not (path.is_file() and _is_as_published(path, size, checksum)):
                url = dataset.url(path.name, base_url)
                fetch(url, path, size=size, checksum=checksum, progress=progress)
    return paths


def _published_files(dataset, base_url):
    """File name -> length and checksum, each None where it is not published."""
    if dataset.record is None:
        return {}
    url = (base_url or dataset.server) + dataset.record
    try:
        record = fetch_json(url)
        return {entry["key"]: (int(entry["size"]), _known(entry["checksum"])) for entry in record["files"]}
    except (RefusedError, AttributeError, KeyError, TypeError, ValueError) as error:
        warnings.warn(
            f"the published checksums cannot be read ({url}: {type(error).__name__}: {error}); "
            "files are checked by their length only",
            GalmergeWarning,
            stacklevel=3,
        )
        return {}


def _known(checksum):
    """A checksum, ``"md5:..."``, if it can be computed here; ValueError otherwise."""
    if checksum.partition(":")[0] not in hashlib.algorithms_available:
        raise ValueError(f"a checksum {checksum!r}")
    return checksum


def _is_as_published(path, size, checksum):
    return (size is None or path.stat().st_size == size) and (checksum is None or has_checksum(path, checksum))
