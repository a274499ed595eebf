"""SER's routing scripts: text -> tokens -> tree -> checked tree -> coroutines that carry the script's lines.

`check_file` reports every mistake of a file in one run; `load_script` compiles a file or raises the first.
"""

from sipyard.script.check import check_file, check_text
from sipyard.script.program import Script, load_script, load_text
from sipyard.script.source import Problem, Report, Severity

__all__ = ["Problem", "Report", "Script", "Severity", "check_file", "check_text", "load_script", "load_text"]
