"""Every command's ``--help``, taken from the commands there are; and the four of Open Model Zoo."""

from model_zoo.cli.main import cli
from tests.messages.stage import OMZ, Group, commands

scene = Group("help")

for words in commands(cli):
    scene("-".join(("model-zoo", *words)), " ".join((*words, "--help")))
for program in OMZ:
    scene(program, f"{program} --help")

scene("version", "--version")
scene("nothing", "")
scene("group-alone", "cache")
