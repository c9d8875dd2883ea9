"""A module lies in a file or a package, which goes first, as in Python."""

from ml_switcheroo.code.finding import folder_of, module_file


def test_a_package_goes_before_a_module_of_its_name(tmp_path):
    (tmp_path / "net.py").write_text("")
    assert module_file(tmp_path, ["net"]) == tmp_path / "net.py"
    (tmp_path / "net").mkdir()
    assert module_file(tmp_path, ["net"]) == tmp_path / "net.py"  # a folder alone is no package here
    (tmp_path / "net" / "__init__.py").write_text("")
    assert module_file(tmp_path, ["net"]) == tmp_path / "net" / "__init__.py"
    assert module_file(tmp_path, ["net", "parts"]) is None


def test_without_parts_a_folder_is_its_own_package_or_nothing(tmp_path):
    (tmp_path.parent / f"{tmp_path.name}.py").write_text("")
    assert module_file(tmp_path, []) is None
    (tmp_path / "__init__.py").write_text("")
    assert module_file(tmp_path, []) == tmp_path / "__init__.py"


def test_each_dot_goes_up_one_folder_and_never_out_of_the_disk(tmp_path):
    path = tmp_path / "a" / "b" / "c.py"
    assert folder_of(path, 1) == tmp_path / "a" / "b"
    assert folder_of(path, 2) == tmp_path / "a"
    assert folder_of(path, 99) == path.parents[-1]
