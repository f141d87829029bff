"""Data sets of the Hugging Face hub, through the cache that all programs on a machine share."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import MergeError, UsageError, suggest
from .opening import check_split, read_parquet

if TYPE_CHECKING:
    from ..data_source import DataSource

MAIN = "main"  # the hub's default revision
_COMMIT = re.compile(r"[0-9a-f]{40}")


def open_hub(source: DataSource) -> tuple[Any, str]:
    """Return one split of ``org/name@revision`` and its commit, downloading what is missing in the cache.

    The library downloads every split of a configuration, unless the benchmark says which ``files`` hold this one.

    Raises:
        UsageError: No such configuration, split or files.
        MergeError: No such data set or revision, or no network and nothing in the cache.
    """
    name, _, revision = source.text.removeprefix("hub:").partition("@")
    with _plain_errors(name, revision, source):
        return (_open_files if source.files else _open_split)(name, revision or None, source)


def _open_split(name: str, revision: str | None, source: DataSource) -> tuple[Any, str]:
    from datasets import load_dataset_builder

    builder = load_dataset_builder(name, source.config, revision=revision)
    # File names, or the cache, tell the splits before anything is downloaded.
    check_split(source, builder.config.data_files or builder.info.splits or ())
    _check_commit(str(builder.hash), name, revision or MAIN, source)
    builder.download_and_prepare()
    return builder.as_dataset(split=source.split), str(builder.hash)


def _open_files(name: str, revision: str | None, source: DataSource) -> tuple[Any, str]:
    """Read some parquet files of a data set, the only ones that are downloaded."""
    from huggingface_hub import snapshot_download

    pattern = source.files or ""
    folder = Path(snapshot_download(name, repo_type="dataset", revision=revision, allow_patterns=pattern))
    files = sorted(str(path) for path in folder.glob(pattern) if path.suffix == ".parquet")
    if not files:
        what = f"no parquet files '{pattern}' in the data set {name}, or with the network off in the cache"
        raise UsageError(what, where=source.where)
    return read_parquet(files), folder.name


def _check_commit(found: str, name: str, revision: str, source: DataSource) -> None:
    """Refuse another commit than the one that was asked for: without network the library takes the newest it has."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    reference = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=name, repo_type="dataset") / "refs" / revision
    wanted = reference.read_text(encoding="utf-8").strip() if reference.is_file() else revision
    if _COMMIT.fullmatch(wanted) and _COMMIT.fullmatch(found) and found != wanted:
        what = f"the cache holds commit {found} of the data set, not {wanted} ({revision})"
        raise MergeError(what, where=source.where, hint="let it be downloaded once with the network on")


@contextmanager
def _plain_errors(name: str, revision: str, source: DataSource) -> Iterator[None]:
    """Turn what the libraries raise into one line."""
    from datasets.exceptions import DatasetNotFoundError
    from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        yield
    except MergeError:
        raise
    except (DatasetNotFoundError, RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise _not_found(error, name, revision, source) from None
    except (ConnectionError, LocalEntryNotFoundError):
        raise _out_of_reach(name, source) from None
    except ValueError as error:
        raise _wrong_request(error, source) from None
    except Exception as error:  # the libraries let through whatever their HTTP client and file formats raise
        reason = str(error.__cause__ or error).strip().partition("\n")[0]
        raise MergeError(f"the data set {name} cannot be fetched from the hub: {reason}", where=source.where) from None


def _not_found(error: Exception, name: str, revision: str, source: DataSource) -> MergeError:
    if type(error).__name__ == "RevisionNotFoundError" or "Revision" in str(error).partition("\n")[0]:
        return MergeError(f"the data set {name} has no revision '{revision}'", where=source.where)
    what = f"the hub has no data set '{name}', and there is no such local path"
    return MergeError(what, where=source.where, hint="check the spelling; a private one needs HF_TOKEN")


def _out_of_reach(name: str, source: DataSource) -> MergeError:
    from datasets import config
    from huggingface_hub import constants

    cache = constants.HF_HUB_CACHE if source.files else config.HF_DATASETS_CACHE
    what = f"the data set {name} is not in the local cache ({cache}), and the network is off or cannot be reached"
    hint = "let it be downloaded once with the network on; HF_HOME says where the cache is"
    return MergeError(what, where=source.where, hint=hint)


def _wrong_request(error: ValueError, source: DataSource) -> UsageError:
    """Turn the library's list of configurations into a suggestion."""
    text = " ".join(str(error).split())
    known = re.findall(r"'([^']+)'", text.partition("[")[2].partition("]")[0])
    if known and "onfig" in text:
        what = f"no configuration '{source.config}'" if source.config else "'config' must say which configuration"
        hint = suggest(source.config, known) or f"there are: {', '.join(known)}"
        return UsageError(what, where=source.where, hint=hint)
    return UsageError(f"the library datasets refuses {source.text}: {text}", where=source.where)
