"""What speaks for a pair and what against it."""

import pytest

from match.built import field_of
from ml_switcheroo.match.assignment.numbering import numbering
from ml_switcheroo.match.assignment.similarity import TERMS, Lexicon, similarity, terms
from ml_switcheroo.match.weights import WEIGHTS

MORE = {f"other{i}.part{i}.weight": (3, 2) for i in range(6)}


def weighed(name, path, *, tensors=(), leaves=()):
    """Return the terms of one pair, among other units that give the words their weights."""
    tensors = {name: (4, 6), **MORE, **dict(tensors)}
    leaves = {path: (6, 4), **{f"{n.replace('.', '/')}": s for n, s in MORE.items()}, **dict(leaves)}
    field = field_of(tensors, leaves)
    (pair,) = [
        (i, j)
        for i, j in field.candidates
        if name
        in field.sources[i].slots.get("weight", next(iter(field.sources[i].slots.values()))).paths.values()
        and path in field.targets[j].slots["weight"].paths.values()
    ]
    numbers = numbering(field.sources, field.targets, field.candidates)
    found = terms(
        field.sources[pair[0]],
        field.targets[pair[1]],
        field.candidates[pair],
        Lexicon(field.sources),
        Lexicon(field.targets),
        numbers,
    )
    return dict(zip(TERMS, found, strict=True))


def test_each_common_word_counts_once_and_fillers_hardly():
    found = weighed("tower.user.weight", "tower/user_emb/kernel")
    assert found["words in both"] == pytest.approx(2 * WEIGHTS.telling_word)
    filler = weighed("model.user.weight", "model/user_emb/kernel")
    assert filler["words in both"] == pytest.approx(WEIGHTS.telling_word + WEIGHTS.filler)
    quiet = weighed("experts.user.weight", "experts/user_emb/kernel")
    assert quiet["words in both"] == pytest.approx(WEIGHTS.telling_word + WEIGHTS.quiet_word)


def test_a_word_that_most_paths_have_counts_little():
    most = {f"tower.{first}{last}x.weight": (3, 2) for first in "bdfgh" for last in "aeiou"}
    found = weighed("tower.user.weight", "tower/user_emb/kernel", tensors=most)
    assert found["words in both"] == pytest.approx(WEIGHTS.telling_word + WEIGHTS.common_word)


def test_a_word_of_one_side_counts_against_less_where_the_other_never_uses_it():
    foreign = weighed("zorp.user.weight", "user_emb/kernel")["words only in the source"]
    used = weighed("zorp.user.weight", "user_emb/kernel", leaves={"zorp/kernel": (9, 9)})
    assert foreign == pytest.approx(-WEIGHTS.unknown_word * WEIGHTS.further_up)
    assert used["words only in the source"] == pytest.approx(-WEIGHTS.unshared * WEIGHTS.further_up)
    own = weighed("user_zorp.weight", "user/kernel", leaves={"zorp/kernel": (9, 9)})
    assert own["words only in the source"] == pytest.approx(-WEIGHTS.unshared)


def test_the_same_part_of_the_network_counts_and_one_that_only_one_has_counts_against():
    assert weighed("attn.query.weight", "attn/q_proj/kernel")["the part of the network"] == WEIGHTS.same_role
    assert weighed("attn.query.weight", "attn/zorp/kernel")["the part of the network"] == WEIGHTS.other_role
    assert weighed("a.zorp.weight", "b/zorp/kernel")["the part of the network"] == 0


def test_the_same_path_counts_most_and_the_same_end_somewhat():
    assert weighed("tower.user.weight", "tower/user/kernel")["the path"] == WEIGHTS.same_path
    assert weighed("left.tower.user.weight", "right/tower/user/kernel")["the path"] == pytest.approx(
        WEIGHTS.most_ends * WEIGHTS.same_end
    )
    assert weighed("left.user.weight", "right/user/kernel")["the path"] == WEIGHTS.same_end
    assert weighed("left.fc.weight", "right/zorp/kernel")["the path"] == 0


def test_numbers_agree_by_value_by_rank_or_count_against():
    tensors = {"a.zorp1.weight": (4, 6), "a.zorp2.weight": (4, 6)}

    def number(path):
        leaves = {f"b/zorp{n}/kernel": (6, 4) for n in path[1]}
        found = weighed("a.zorp2.weight", f"b/zorp{path[0]}/kernel", tensors=tensors, leaves=leaves)
        return found["numbers"]

    assert number((2, (1, 2))) == WEIGHTS.same_number
    assert number((1, (0, 1))) == WEIGHTS.same_rank
    assert number((1, (1, 2))) == WEIGHTS.other_number


def test_what_has_no_partner_counts_against():
    found = weighed("tower.user.weight", "tower/user_emb/kernel", leaves={"tower/user_emb/bias": (4,)})
    assert found["leaves without a source"] == WEIGHTS.lacking_tensor
    found = weighed("tower.user.weight", "tower/user_emb/kernel", tensors={"tower.user.bias": (4,)})
    assert found["tensors without a leaf"] == WEIGHTS.lacking_tensor


def test_a_shortcut_is_never_what_has_no_such_word_where_both_trees_use_it():
    both = {"tensors": {"a.shortcut.weight": (9, 9)}, "leaves": {"b/downsample/kernel": (9, 9)}}
    assert weighed("a.shortcut.x.weight", "b/zorp/kernel", **both)["another branch"] == WEIGHTS.other_branch
    assert weighed("a.shortcut.x.weight", "b/zorp/kernel")["another branch"] == 0


def test_the_score_is_the_sum_of_the_terms():
    field = field_of({"a.user.weight": (4, 6), **MORE}, {"a/user/kernel": (6, 4), "b/kernel": (2, 3)})
    lexicons = Lexicon(field.sources), Lexicon(field.targets)
    numbers = numbering(field.sources, field.targets, field.candidates)
    for (i, j), one in field.candidates.items():
        whole = field.sources[i], field.targets[j], one, *lexicons, numbers
        assert similarity(*whole) == pytest.approx(sum(terms(*whole)))


def test_what_is_repeated_in_other_blocks_counts_against():
    def repeated(blocks):
        names = {f"h.{i}.{n}.weight": (4, 6) for i in range(3) for n in ("user", "item")}
        return {**names, **{f"h.{i}.zorp.weight": (5, 7) for i in blocks}}

    leaves = {f"h_{i}/{n}/kernel": (6, 4) for i in range(3) for n in ("user", "item")}
    leaves |= {f"h_{i}/zorp/kernel": (7, 5) for i in range(3)}

    def term(blocks):
        field = field_of(repeated(blocks), leaves)
        numbers = numbering(field.sources, field.targets, field.candidates)
        for (i, j), one in field.candidates.items():
            if {str(field.sources[i]), str(field.targets[j])} == {"h.#.zorp", "h#.zorp"}:
                lexicons = Lexicon(field.sources), Lexicon(field.targets)
                found = terms(field.sources[i], field.targets[j], one, *lexicons, numbers)
                return dict(zip(TERMS, found, strict=True))["other blocks"]
        return None

    assert term(range(3)) == 0
    assert term((0, 2)) == WEIGHTS.other_blocks
