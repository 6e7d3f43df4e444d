"""Whether Anemone reads what Apple's compiler writes.

    cargo build -p anemone-cli
    python tools/packages/compiled.py [--anemone target/debug/anemone]

coremlc, which turns packages into `.mlmodelc` folders, runs on macOS only. The crate `mlmodelc-export` (MIT OR Apache-2.0), on crates.io,
does the same anywhere, and in its tests there are models with what coremlc made of them. It is installed below `target/`.

1. Of each of its models, the source and coremlc's folder must be the same to `anemone diff`: program, weights and description. Only
   `buildInfo` differs, where coremlc writes its own version. The same without `coremldata.bin`, when the JSON has to do. The models in
   compiled pipelines, which have no JSON, must be valid.
2. What the crate makes of our golden packages, and of its own example of nested blocks, must be the same as its source, too. It does not
   take all of them, and gets some wrong; the list below says which and how.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
CRATE = ("mlmodelc-export", "0.1.0")

# Golden packages that the crate refuses or does not write as it should, by what is said of them then.
KNOWN = {
    "classifier": "parameter `classes`",  # The list of labels is told as a number.
    "classifier_ints": "parameter `classes`",
    "enumerated": "enumerated input shapes",
    "int4_blocks": "unknown MIL DataType",
    "lists": "is declared tensor<fp32, []>",  # So are lists,
    "multifunction": "program",  # The functions come in another order.
    "palettized_16": "unknown MIL DataType",
    "palettized_18": "unknown MIL DataType",
    "sparse_16": "unknown MIL DataType",
    "sparse_palettized": "unknown MIL DataType",
    "stateful": "must be a state",  # and states.
}


def install():
    """The crate's command, and the folder of its tests."""
    name, version = CRATE
    root = ROOT / "target" / name
    command = ["cargo", "install", "--quiet", "--locked", "--root", str(root), f"{name}@{version}"]
    subprocess.run(command, check=True, env=os.environ | {"CARGO_TARGET_DIR": str(root / "target")})
    with tempfile.TemporaryDirectory() as folder:
        manifest = pathlib.Path(folder) / "Cargo.toml"
        manifest.write_text(
            '[package]\nname = "find"\nversion = "0.0.0"\nedition = "2024"\n'
            f'[lib]\npath = "lib.rs"\n[dependencies]\n{name} = "={version}"\n'
        )
        (manifest.parent / "lib.rs").touch()
        command = ["cargo", "metadata", "--format-version", "1", "--manifest-path", str(manifest)]
        packages = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)["packages"]
    source = next(package["manifest_path"] for package in packages if package["name"] == name)
    return root / "bin" / name, pathlib.Path(source).parent / "tests"


class Checker:
    def __init__(self, anemone, exporter, folder):
        self.anemone, self.exporter, self.folder = str(anemone), str(exporter), pathlib.Path(folder)
        self.passed, self.failed = 0, []

    def run(self, *command):
        return subprocess.run([*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def difference(self, source, compiled):
        """What differs apart from `buildInfo`; empty if nothing does."""
        done = self.run(self.anemone, "diff", "--json", source, compiled)
        if done.returncode == 2 or not done.stdout:
            return done.stderr
        found = json.loads(done.stdout)
        lines = [line for line in (found["program"] or "").splitlines()[2:] if line[:1] in "+-"]
        differences = ["program: " + line for line in lines if not line[1:].startswith("[buildInfo")]
        if found["description_differs"]:
            differences.append("description")
        return "\n".join(differences + [f"weight {weight}" for weight in found["weights"]])

    def exported(self, name, model):
        """What differs between a model and what the crate makes of it."""
        compiled = self.folder / f"{name}.mlmodelc"
        done = self.run(self.exporter, model, compiled)
        return done.stderr if done.returncode else self.difference(model, compiled)

    def tell(self, name, problem, known=None):
        if bool(problem) == bool(known) and (known or "") in problem:
            self.passed += 1
            print("ok  ", name, f"(known: {known})" if known else "")
        else:
            self.failed.append(name)
            print("FAIL", name, problem or f"agrees, but `{known}` is known of it: take it off the list")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--anemone", default=ROOT / "target" / "debug" / "anemone", type=pathlib.Path)
    arguments = parser.parse_args()
    exporter, tests = install()
    with tempfile.TemporaryDirectory() as folder:
        checker = Checker(arguments.anemone.resolve(), exporter, folder)
        for text in sorted(tests.rglob("model.mil")):
            name, compiled = str(text.parent.relative_to(tests)), text.parent
            source = compiled.parent / "input.mlmodel"
            if source.is_file():
                checker.tell(f"coremlc: {name}", checker.difference(source, compiled))
                by_json = shutil.copytree(compiled, checker.folder / name)
                (by_json / "coremldata.bin").unlink()
                checker.tell(f"coremlc, by JSON: {name}", checker.difference(source, by_json))
            else:
                done = checker.run(checker.anemone, "verify", compiled)
                checker.tell(f"coremlc, in a pipeline: {name}", done.stderr if done.returncode else "")
        # The crate looks for weights beside the model.
        blocks = shutil.copytree(tests / "control-flow", checker.folder / "control-flow")
        checker.tell("exporter: control-flow", checker.exported("blocks", blocks / "input.mlmodel"))
        for package in sorted((ROOT / "tests" / "packages").glob("*.mlpackage")):
            model = package / "Data" / "com.apple.CoreML" / "model.mlmodel"
            checker.tell(f"exporter: {package.stem}", checker.exported(package.stem, model), KNOWN.get(package.stem))
    print(f"{checker.passed} passed, {len(checker.failed)} failed")
    return bool(checker.failed)


if __name__ == "__main__":
    sys.exit(main())
