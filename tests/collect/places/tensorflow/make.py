"""How the files in this folder were made, with TensorFlow 2 and tensorflow-datasets 4.9 (neither is needed to test).

python tests/collect/places/tensorflow/make.py FOLDER
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

TEXTS = ("the pump was replaced in ward three", "三号病房的水泵已经更换。", "please send the invoice again")


def feature(value: Any) -> Any:
    """A tf.train.Feature of the kind that the value's type asks for."""
    values = value if isinstance(value, list) else [value]
    if values and isinstance(values[0], float):
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    if values and isinstance(values[0], int):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
    texts = [text.encode() if isinstance(text, str) else text for text in values]
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=texts))


def features(**cells: Any) -> Any:
    return tf.train.Features(feature={name: feature(value) for name, value in cells.items()})


def write_records(folder: Path) -> None:
    rows = [
        features(
            text=TEXTS[0], label="repair", score=0.5, counts=[1, -2, 300_000_000_000], raw=b"\xff\xfe\x00", empty=[]
        ),
        features(text=TEXTS[1], label="repair", score=-1.25, counts=[0]),
        features(text=TEXTS[2], label="invoice", score=2.0, counts=[7]),
    ]
    for name, packing in (("plain", ""), ("gzip", "GZIP"), ("zlib", "ZLIB")):
        options = tf.io.TFRecordOptions(compression_type=packing)
        with tf.io.TFRecordWriter(str(folder / f"examples-{name}.tfrecord"), options=options) as writer:
            for row in rows:
                writer.write(tf.train.Example(features=row).SerializeToString())
    lists = {
        "step": tf.train.FeatureList(feature=[feature("arrival"), feature(["talk", "tea"])]),
        "minutes": tf.train.FeatureList(feature=[feature(5), feature([30, 4])]),
    }
    example = tf.train.SequenceExample(
        context=features(text="a visit in two steps"), feature_lists=tf.train.FeatureLists(feature_list=lists)
    )
    with tf.io.TFRecordWriter(str(folder / "sequence.tfrecord")) as writer:
        writer.write(example.SerializeToString())


class Visits(tfds.core.GeneratorBasedBuilder):
    """Invented visits with every kind of feature that the reader knows, and two that it leaves out."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> Any:
        kinds = tfds.features.ClassLabel(names=["a", "b"])
        described = {
            "text": tfds.features.Text(), "label": tfds.features.ClassLabel(names=["repair", "invoice"]),
            "urgent": tf.bool, "minutes": tfds.features.Sequence(tf.int64),
            "steps": tfds.features.Sequence({"what": tfds.features.Text(), "kind": kinds}),
            "vector": tfds.features.Tensor(shape=(2,), dtype=tf.float32), "inner": {"note": tfds.features.Text()},
            "picture": tfds.features.Image(shape=(2, 2, 3)), "grid": tfds.features.Tensor(shape=(2, 2), dtype=tf.int64),
        }  # fmt: skip
        return tfds.core.DatasetInfo(
            builder=self, description="Invented visits.", features=tfds.features.FeaturesDict(described)
        )

    def _split_generators(self, manager: Any) -> Any:
        return {"train": self._generate_examples(3), "test": self._generate_examples(1, "who pays for the lamp")}

    def _generate_examples(self, count: int, text: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
        for i in range(count):
            yield f"{text}{i}", {
                "text": text or TEXTS[i], "label": ["repair", "repair", "invoice"][i], "urgent": i == 1,
                "minutes": list(range(i)), "steps": [{"what": "call", "kind": "a"}, {"what": "visit", "kind": "b"}][:i],
                "vector": np.array([i, 0.5], "float32"), "inner": {"note": f"note {i}"},
                "picture": np.zeros((2, 2, 3), "uint8"), "grid": np.arange(4).reshape(2, 2),
            }  # fmt: skip


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    write_records(target)
    Visits(data_dir=str(target)).download_and_prepare()
