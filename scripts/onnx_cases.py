"""Writes the cases of ONNX's own backend tests into a folder, as the tests of the crate wgconv-onnx read them: python scripts/onnx_cases.py FOLDER.

Newer releases of the package `onnx` make the data of the node tests when they are asked for it, and ship only that of the others.
"""

import pathlib
import sys

import onnx
from onnx import numpy_helper
from onnx.backend.test.case.node import collect_testcases


def tensor(value, name):
    """The bytes of a TensorProto; none for sequences, maps and absent optionals, which no case has that can run here."""
    if isinstance(value, onnx.TensorProto):
        return value.SerializeToString()
    if value is None or isinstance(value, (list, dict)):
        return None
    return numpy_helper.from_array(value, name).SerializeToString()


def main(folder):
    # None: of every op, not of one alone.
    for case in collect_testcases(None):
        own = folder / "node" / case.name
        own.mkdir(parents=True, exist_ok=True)
        (own / "model.onnx").write_bytes(case.model.SerializeToString())
        for number, (inputs, outputs) in enumerate(case.data_sets):
            data = own / f"test_data_set_{number}"
            data.mkdir(exist_ok=True)
            for kind, values, declared in (("input", inputs, case.model.graph.input), ("output", outputs, case.model.graph.output)):
                for i, value in enumerate(values):
                    if (written := tensor(value, declared[i].name)) is not None:
                        (data / f"{kind}_{i}.pb").write_bytes(written)
    # What the package ships as files: operators and layers as PyTorch wrote them, small models, networks with the outputs they must give.
    shipped = pathlib.Path(onnx.__file__).parent / "backend" / "test" / "data"
    for kind in ("pytorch-operator", "pytorch-converted", "simple", "light"):
        for path in sorted((shipped / kind).rglob("*")):
            if path.is_file():
                copy = folder / kind / path.relative_to(shipped / kind)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(path.read_bytes())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: onnx_cases.py FOLDER")
    main(pathlib.Path(sys.argv[1]))
