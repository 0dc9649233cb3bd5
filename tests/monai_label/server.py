"""A MONAI Label server with the stock `monaibundle` app, in an environment and process of its own."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import nibabel
import numpy as np
import requests
from numpy.typing import NDArray
from PIL import Image

STAND_INS = Path(__file__).parent / "stand_ins"


class LabelServer:
    """`monailabel start_server` on a free port of the loopback interface.

    Args:
        python: interpreter of the environment that holds MONAI Label and this package.
        folder: gets the app with copies of the bundles, the studies and the log.
        bundles: folders of the bundles to serve.
        images: files to be copied to the studies.
        config: further settings of the app, as `--conf` takes them.
    """

    def __init__(
        self,
        python: Path,
        folder: Path,
        bundles: Sequence[Path],
        images: Sequence[Path],
        **config: str,
    ) -> None:
        self.python, self.folder, self.config = python, folder, config
        self.app, self.studies, self.log = folder / "app", folder / "studies", folder / "server.log"
        self.models = [bundle.name for bundle in bundles]
        shutil.copytree(python.parents[1] / "monailabel" / "sample-apps" / "monaibundle", self.app)
        for bundle in bundles:
            ignored = shutil.ignore_patterns("eval", "predictions")
            shutil.copytree(bundle, self.app / "model" / bundle.name, ignore=ignored)
        self.studies.mkdir()
        for image in images:
            shutil.copy(image, self.studies)

    def __enter__(self) -> LabelServer:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        settings = {"models": ",".join(self.models), "zoo_source": "ngc", "sam2": "false", **self.config}
        conf = [word for name, value in settings.items() for word in ("--conf", name, value)]
        command = [*self._start(), "--port", str(self.port), *conf]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=self._environment(), stdout=log, stderr=subprocess.STDOUT
            )
        self._wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def get(self, path: str, **query: Any) -> Any:
        """The JSON answer of a GET."""
        return self._answer(requests.get(self._url(path), params=query, timeout=60)).json()

    def infer(self, model: str, image: str, **params: Any) -> nibabel.Nifti1Image:
        """The label map of a volume of the studies, as the server sends it."""
        content = self._infer(model, image, "image", params).content
        return nibabel.Nifti1Image.from_bytes(gzip.decompress(content))

    def infer_picture(self, model: str, image: str, **params: Any) -> NDArray[Any]:
        """The label map (x, y) of a picture of the studies."""
        return np.asarray(Image.open(io.BytesIO(self._infer(model, image, "image", params).content))).T

    def infer_json(self, model: str, image: str, **params: Any) -> dict[str, Any]:
        """What the server says of a label map: names of the labels, times."""
        answer: dict[str, Any] = self._infer(model, image, "json", params).json()
        return answer

    def save_label(self, image: str, label: Path, tag: str = "final") -> None:
        """Put a label map beside an image, as a viewer does on *Submit label*."""
        with label.open("rb") as file:
            self._answer(
                requests.put(
                    self._url("datastore/label"),
                    params={"image": image, "tag": tag},
                    data={"params": "{}"},
                    files={"label": (label.name, file)},
                    timeout=60,
                )
            )

    def train(self, model: str, *, seconds: float = 300, **params: Any) -> dict[str, Any]:
        """Train, wait for the end, and return what the server says of the task."""
        self._answer(requests.post(self._url(f"train/{model}"), json=params, timeout=60))
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            task: dict[str, Any] = self.get("train/")
            if task["status"] in ("DONE", "ERROR", "STOPPED"):
                return task
            time.sleep(0.5)
        raise TimeoutError(f"{model}: the training did not end in {seconds} s:\n{self._tail()}")

    def next_sample(self, strategy: str) -> dict[str, Any]:
        """The image that active learning chooses."""
        answer = requests.post(self._url(f"activelearning/{strategy}"), json={}, timeout=60)
        sample: dict[str, Any] = self._answer(answer).json()
        return sample

    def _infer(self, model: str, image: str, output: str, params: Mapping[str, Any]) -> requests.Response:
        query = {"image": image, "output": output}
        body = {"params": json.dumps({"device": "cpu", **params})}
        return self._answer(requests.post(self._url(f"infer/{model}"), params=query, data=body, timeout=300))

    def _url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/{path}"

    def _answer(self, response: requests.Response) -> requests.Response:
        if not response.ok:
            raise RuntimeError(f"{response.url}: {response.status_code} {response.text}\n{self._tail()}")
        return response

    def _start(self) -> list[str]:
        words = ["-m", "monailabel.main", "start_server", "--app", str(self.app)]
        return [str(self.python), *words, "--studies", str(self.studies), "--host", "127.0.0.1"]

    def _environment(self) -> dict[str, str]:
        paths = os.pathsep.join(filter(None, [str(self.app), str(STAND_INS), os.environ.get("PYTHONPATH")]))
        return {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}

    def _wait(self, seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended at its start:\n{self._tail()}")
            try:
                self.get("info/")
            except requests.ConnectionError:
                time.sleep(0.3)
            else:
                return
        raise TimeoutError(f"the server did not start in {seconds} s:\n{self._tail()}")

    def _tail(self, lines: int = 60) -> str:
        return "\n".join(self.log.read_text().splitlines()[-lines:])


def values(image: nibabel.Nifti1Image) -> NDArray[Any]:
    """The label values of an image."""
    return np.asarray(image.dataobj).round().astype(np.uint8)
