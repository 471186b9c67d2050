"""The commands of Open Model Zoo, whose words scripts look for."""

from tests.messages.stage import Group, model, sets, serves, writes
from tests.server import status

scene = Group("omz")

scene("downloader-nothing-named", "omz_downloader")
scene("downloader-no-match", "omz_downloader --name zzyzx", model())
scene("downloader", "omz_downloader --name probe -o out", serves())
scene("downloader-again", "omz_downloader --name probe -o out", serves(), lambda s: s.type_in("omz_downloader --name probe -o out"))
scene("downloader-json", "omz_downloader --name probe -o out --progress_format json", serves())
scene("downloader-fails", "omz_downloader --name probe -o out", serves(status(404)))
scene("downloader-precision", "omz_downloader --name probe --precisions FP99", model())
scene("downloader-list-absent", "omz_downloader --list absent.lst", model())
scene("downloader-unknown-option", "omz_downloader --nmae probe")
scene("downloader-root-absent", "omz_downloader --all --models_root absent")
scene("converter-not-downloaded", "omz_converter --name probe -d out", model())
scene("converter", "omz_converter --name probe -d out --precisions FP32", serves(),
      lambda s: s.type_in("omz_downloader --name probe -o out"))  # fmt: skip
scene("converter-dry-run", "omz_converter --name probe -d out --dry_run", serves(),
      lambda s: s.type_in("omz_downloader --name probe -o out"))  # fmt: skip
scene("converter-jobs", "omz_converter --name probe -d out -j many", model())
scene("info-dumper", "omz_info_dumper --name probe", model())
scene("info-dumper-root", "omz_info_dumper --all", sets(OMZ_ROOT="{tmp}/omz"), writes(
    "omz/public/net/model.yml", "framework: onnx\n"))  # fmt: skip
scene("data-downloader", "omz_data_downloader")
