"""The commands of Open Model Zoo, whose words and exit codes (1 among them) scripts look for."""

from tests.messages.stage import Group, hides
from tests.omz.tree import Tree
from tests.server import status
from tests.tiny import tiny_onnx

ARGUMENTS = ["--input_model=$dl_dir/net.onnx"]


def tree(stage):
    """Let the tree have two models: ``probe`` and ``gone``."""
    stage.env(OMZ_ROOT=stage.tmp / "models")
    made = Tree(stage.tmp / "models", stage.server)
    made.add("probe", {"net.onnx": tiny_onnx()}, model_optimizer_args=ARGUMENTS)
    made.add(
        "gone",
        {"net.onnx": tiny_onnx(3.0)},
        model_optimizer_args=ARGUMENTS,
        answers={"net.onnx": [status(404)]},
    )
    made.add("liar", {"net.onnx": tiny_onnx(4.0)}, model_optimizer_args=ARGUMENTS, wrong=("net.onnx",))
    made.add_ir("ready")


def downloaded(stage):
    """Let ``probe`` be downloaded to ``out``."""
    assert stage.type_in("omz_downloader --name probe -o out").code == 0


scene = Group("omz", (tree, hides((r"\d+%, \d+ KB, +\d+ KB/s, +\d+ seconds passed", "<progress>"))))

scene("downloader-nothing-named", "omz_downloader")
scene("downloader-no-match", "omz_downloader --name zzyzx")
scene("downloader", "omz_downloader --name probe -o out")
scene("downloader-again", "omz_downloader --name probe -o out", downloaded)
scene("downloader-json", "omz_downloader --name probe -o out --progress_format json")
scene("downloader-absent", "omz_downloader --name gone -o out")
scene("downloader-digest", "omz_downloader --name liar -o out")
scene("downloader-precision", "omz_downloader --name ready --precisions FP16 -o out")
scene("downloader-precision-unknown", "omz_downloader --name probe --precisions FP99")
scene("downloader-print-all", "omz_downloader --print_all")
scene("downloader-list-absent", "omz_downloader --list absent.lst")
scene("downloader-unknown-option", "omz_downloader --nmae probe")
scene("downloader-root-absent", "omz_downloader --all --models_root absent")
scene("converter-not-downloaded", "omz_converter --name probe -d out")
scene("converter", "omz_converter --name probe -d out --precisions FP32", downloaded)
scene("converter-dry-run", "omz_converter --name probe -d out --dry_run", downloaded)
scene("converter-ready-made", "omz_converter --name ready -d out")
scene("converter-jobs", "omz_converter --name probe -d out -j many")
scene("info-dumper", "omz_info_dumper --name probe")
scene(
    "root-broken",
    "omz_info_dumper --all",
    lambda s: s.file("models/public/net/model.yml", "framework: onnx\n"),
)
scene("data-downloader", "omz_data_downloader")
