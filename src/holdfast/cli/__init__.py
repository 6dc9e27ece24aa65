"""The command line: ``holdfast sessions ...`` and ``holdfast store check``. It needs ``pip install 'holdfast[cli]'``."""
