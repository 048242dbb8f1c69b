from __future__ import annotations

import asyncio
import sqlite3
import sys
from pathlib import Path

import pytest
from tests.unit.rag.conftest import knowledge_settings

from voice_agent.errors import ConfigError, StoreError
from voice_agent.providers.embedding.minilm import MiniLmEmbedder
from voice_agent.rag.corpus import PREFIX, seed_corpus
from voice_agent.rag.pipeline import CHROMA_FOLDER, KnowledgeBase, open_knowledge

NOTE = "# Mascot\nOur mascot is a green otter called Wilbur.\n\n## Its birthday\nWilbur's birthday is on June 4.\n"


@pytest.fixture
def note(tmp_path: Path) -> Path:
    file = tmp_path / "mascot.md"
    file.write_text(NOTE)
    return file


async def refusal(state_dir: Path, embedder: MiniLmEmbedder, **settings: str) -> str:
    with pytest.raises(ConfigError) as caught:
        async with open_knowledge(knowledge_settings(**settings), state_dir, embedder):  # type: ignore[arg-type]
            pass
    return str(caught.value)


async def test_an_answer_carries_evidence_source_and_confidence(shop: KnowledgeBase) -> None:
    answer = await shop.search("How long do I have to return something?")
    assert answer.answerable
    assert 0.6 <= answer.confidence <= 1
    best = answer.passages[0]
    assert (best.title, best.source) == ("Returns", PREFIX + "returns.md")
    assert "30 days" in best.text
    assert len(answer.passages) == 4
    assert [p.score for p in answer.passages] == sorted((p.score for p in answer.passages), reverse=True)
    assert best.score == answer.confidence


async def test_the_passages_title_names_the_section(shop: KnowledgeBase) -> None:
    answer = await shop.search("How much is overnight shipping?", k=1)
    assert [passage.title for passage in answer.passages] == ["Shipping options and costs: Overnight shipping"]


async def test_what_the_documents_do_not_say_is_not_answerable(shop: KnowledgeBase) -> None:
    answer = await shop.search("What is the capital of France?")
    assert not answer.answerable
    assert answer.confidence < 0.3
    assert answer.passages


@pytest.mark.parametrize("threshold", [0.0, 1.0])
async def test_the_threshold_decides(seeded_dir: Path, embedder: MiniLmEmbedder, threshold: float) -> None:
    async with open_knowledge(knowledge_settings(threshold=threshold), seeded_dir, embedder) as knowledge:
        answer = await knowledge.search("is there a song about the moon")
    assert answer.answerable == (threshold == 0.0)


@pytest.mark.parametrize("query", ["", "   ", "\n"])
async def test_an_empty_question_finds_nothing(shop: KnowledgeBase, query: str) -> None:
    answer = await shop.search(query)
    assert (answer.answerable, answer.confidence, answer.passages) == (False, 0.0, ())


@pytest.mark.parametrize("query", ["returns " * 50_000, "\0", "🦦" * 300, "'; DROP TABLE x; --", "?"])
async def test_a_strange_question_is_survived(shop: KnowledgeBase, query: str) -> None:
    assert 0 <= (await shop.search(query)).confidence <= 1


async def test_an_empty_knowledge_base_answers_nothing(knowledge: KnowledgeBase) -> None:
    assert (await knowledge.search("What is your return policy?")).passages == ()
    assert await knowledge.documents() == ()


async def test_documents_are_added_found_updated_and_removed(knowledge: KnowledgeBase, note: Path) -> None:
    source = note.as_posix()
    assert (await knowledge.add([note])).added == (source,)
    assert (await knowledge.add([note.parent])).unchanged == (source,)
    assert "otter" in (await knowledge.search("Which animal is the mascot?")).passages[0].text
    assert [(d.source, d.title, d.chunks) for d in await knowledge.documents()] == [(source, "Mascot", 2)]

    note.write_text("# Mascot\nOur mascot is a red fox.\n")  # noqa: ASYNC240 - a test may block
    assert (await knowledge.add([note])).updated == (source,)
    answer = await knowledge.search("Which animal is the mascot?")
    assert [passage.text for passage in answer.passages] == ["Our mascot is a red fox."]

    assert await knowledge.remove(source) == 1
    assert await knowledge.remove(source) == 0
    assert (await knowledge.search("Which animal is the mascot?")).passages == ()


async def test_a_listed_question_leads_to_its_passage(knowledge: KnowledgeBase, tmp_path: Path) -> None:
    listed, plain = tmp_path / "listed.md", tmp_path / "plain.md"
    listed.write_text("# Wilbur\n<!-- asked: Do you take amex? -->\nAll of them, and cash.\n")
    plain.write_text("# Beach\nThe beach is open all day.\n")
    await knowledge.add([listed, plain])
    answer = await knowledge.search("do you take amex")
    assert [passage.text for passage in answer.passages] == ["All of them, and cash.", "The beach is open all day."]
    assert answer.answerable
    assert [document.chunks for document in await knowledge.documents()] == [1, 1]

    listed.write_text("# Wilbur\nAll of them, and cash.\n")
    await knowledge.add([listed])
    assert not (await knowledge.search("do you take amex")).answerable
    assert await knowledge.remove(listed.as_posix()) == 1


async def test_a_bad_file_does_not_keep_the_others_out(knowledge: KnowledgeBase, note: Path) -> None:
    (note.parent / "bad.md").write_bytes(b"\xff\xfe\xff")
    report = await knowledge.add([note.parent])
    assert report.added == (note.as_posix(),)
    ((file, reason),) = report.failed
    assert file.endswith("bad.md")
    assert "bad.md" in reason


async def test_a_broken_document_keeps_its_former_state(knowledge: KnowledgeBase, note: Path) -> None:
    await knowledge.add([note])
    note.write_bytes(b"\xff\xfe\xff")  # noqa: ASYNC240 - a test may block
    report = await knowledge.add([note.parent])
    assert (len(report.failed), report.removed) == (1, ())
    assert "otter" in (await knowledge.search("Which animal is the mascot?")).passages[0].text


async def test_documents_that_vanished_from_a_folder_are_removed(knowledge: KnowledgeBase, note: Path) -> None:
    elsewhere = note.parent.parent / f"{note.parent.name}-other"
    for path in (note.parent / "sub" / "b.md", elsewhere / "c.md"):
        await asyncio.to_thread(_write, path)
    await knowledge.add([note.parent, elsewhere])
    note.unlink()  # noqa: ASYNC240 - a test may block
    (elsewhere / "c.md").unlink()
    assert (await knowledge.add([note.parent])).removed == (note.as_posix(),)
    assert {Path(d.source).name for d in await knowledge.documents()} == {"b.md", "c.md"}


def _write(path: Path) -> None:
    path.parent.mkdir()
    path.write_text(f"# {path.stem}\nThis is {path.stem}.\n")


async def test_languages_have_collections_of_their_own(knowledge: KnowledgeBase, note: Path, tmp_path: Path) -> None:
    spanish = tmp_path / "mascota.md"
    spanish.write_text("# Mascota\nNuestra mascota es una nutria verde llamada Wilbur.\n")
    await knowledge.add([note])
    assert await knowledge.documents(locale="es-MX") == ()
    await knowledge.add([spanish], locale="es")
    assert [document.title for document in await knowledge.documents(locale="es-ES")] == ["Mascota"]
    assert [document.title for document in await knowledge.documents()] == ["Mascot"]
    question = "¿Qué animal es vuestra mascota?"
    assert (await knowledge.search(question, locale="es-MX")).passages[0].title == "Mascota"
    assert {passage.title.split(":")[0] for passage in (await knowledge.search(question)).passages} == {"Mascot"}
    assert await knowledge.remove(spanish.as_posix()) == 0
    assert await knowledge.remove(spanish.as_posix(), locale="es_mx") == 1


async def test_what_a_language_does_not_answer_is_looked_up_in_the_default_ones(
    knowledge: KnowledgeBase, note: Path, tmp_path: Path
) -> None:
    spanish = tmp_path / "playa.md"
    spanish.write_text("# Playa\nLa playa abre a las nueve.\n")
    await knowledge.add([note])
    for locale in ("es", "fr"):
        if locale == "es":
            await knowledge.add([spanish], locale="es")
        answer = await knowledge.search("Which animal is the mascot?", locale=locale)
        assert answer.answerable
        assert "otter" in answer.passages[0].text


async def test_what_another_process_stores_is_found_by_the_next_question(
    knowledge: KnowledgeBase, note: Path, tmp_path: Path
) -> None:
    assert (await knowledge.search("Which animal is the mascot?")).passages == ()
    for text in ("otter", "badger"):
        note.write_text(f"# Mascot\nOur mascot is a green {text}.\n")  # noqa: ASYNC240 - a test may block
        await _elsewhere(tmp_path / "state", f"await knowledge.add([Path({str(note)!r})])")
        assert text in (await knowledge.search("Which animal is the mascot?")).passages[0].text


async def _elsewhere(state_dir: Path, work: str) -> None:
    program = f"""
import asyncio
from pathlib import Path
from voice_agent.config import KnowledgeSettings
from voice_agent.providers.embedding.minilm import MiniLmEmbedder
from voice_agent.rag.pipeline import open_knowledge

async def main():
    settings = KnowledgeSettings.model_construct()
    async with open_knowledge(settings, Path({str(state_dir)!r}), MiniLmEmbedder()) as knowledge:
        {work}

asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program)
    assert await process.wait() == 0


async def test_what_is_added_is_kept(tmp_path: Path, embedder: MiniLmEmbedder, note: Path) -> None:
    state_dir = tmp_path / "state"
    async with open_knowledge(knowledge_settings(), state_dir, embedder) as knowledge:
        await knowledge.add([note])
    async with open_knowledge(knowledge_settings(), state_dir, embedder) as knowledge:
        assert (await knowledge.add([note])).unchanged == (note.as_posix(),)
        assert (await knowledge.search("When is Wilbur's birthday?")).passages[0].text.endswith("June 4.")


async def test_seeding_is_idempotent_and_touches_only_its_own(knowledge: KnowledgeBase, note: Path) -> None:
    await knowledge.add([note])
    await knowledge.store([(note, PREFIX + "no-longer-shipped.md")])
    first = await seed_corpus(knowledge)
    assert len(first.added) >= 28
    assert first.removed == (PREFIX + "no-longer-shipped.md",)
    second = await seed_corpus(knowledge)
    assert (second.added, second.updated, second.removed, second.failed) == ((), (), (), ())
    assert len(second.unchanged) == len(first.added)
    assert note.as_posix() in {document.source for document in await knowledge.documents()}


async def test_searches_run_beside_an_ingestion(knowledge: KnowledgeBase, note: Path, tmp_path: Path) -> None:
    await knowledge.add([note])
    folder = tmp_path / "many"
    await asyncio.to_thread(_write_many, folder)
    ingestion = asyncio.create_task(knowledge.add([folder]))
    answers = 0
    while not ingestion.done():
        answers += bool((await knowledge.search("Which animal is the mascot?")).passages)
    assert len((await ingestion).added) == 40
    assert answers > 5


def _write_many(folder: Path) -> None:
    folder.mkdir()
    for number in range(40):
        (folder / f"{number}.md").write_text(f"# Shelf {number}\nShelf number {number} holds {number + 3} boxes.\n")


async def test_a_question_and_its_many_repeats_run_at_once(shop: KnowledgeBase) -> None:
    answers = await asyncio.gather(*(shop.search(f"How long is the warranty on {n} tents?") for n in range(30)))
    assert all(answer.answerable for answer in answers)


async def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path, embedder: MiniLmEmbedder) -> None:
    (tmp_path / "file").write_text("in the way")
    assert str(tmp_path / "file") in await refusal(tmp_path / "file", embedder)


async def test_a_damaged_store_is_refused(tmp_path: Path, embedder: MiniLmEmbedder) -> None:
    folder = tmp_path / CHROMA_FOLDER
    folder.mkdir()
    (folder / "chroma.sqlite3").write_bytes(b"these are my holiday pictures" * 200)
    message = await refusal(tmp_path, embedder)
    assert "not a database" in message
    assert str(folder) in message


async def test_a_bad_collection_name_is_refused(tmp_path: Path, embedder: MiniLmEmbedder) -> None:
    assert "CHROMA_COLLECTION" in await refusal(tmp_path, embedder, collection="no spaces!")


async def test_an_unknown_embedding_model_is_refused(tmp_path: Path, embedder: MiniLmEmbedder) -> None:
    assert "EMBEDDING_MODEL='word2vec'" in await refusal(tmp_path, embedder, model="word2vec")


async def test_a_collection_of_another_embedding_model_is_refused(
    tmp_path: Path, embedder: MiniLmEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from voice_agent.rag.calibration import CALIBRATIONS

    monkeypatch.setitem(CALIBRATIONS, "other-model", CALIBRATIONS["all-MiniLM-L6-v2"])
    async with open_knowledge(knowledge_settings(model="other-model"), tmp_path, embedder):
        pass
    message = await refusal(tmp_path, embedder)
    assert "'other-model'" in message
    assert "CHROMA_COLLECTION" in message


async def test_a_store_that_breaks_later_takes_nothing_new_and_still_answers(
    tmp_path: Path, embedder: MiniLmEmbedder, note: Path
) -> None:
    async with open_knowledge(knowledge_settings(), tmp_path / "state", embedder) as knowledge:
        await knowledge.add([note])
        file = tmp_path / "state" / CHROMA_FOLDER / "chroma.sqlite3"
        with sqlite3.connect(file) as connection:
            connection.execute("DROP TABLE embedding_metadata")
        connection.close()
        note.write_text("# Mascot\nOur mascot is a red fox.\n")  # noqa: ASYNC240 - a test may block
        with pytest.raises(StoreError):
            await knowledge.add([note])
        assert "otter" in (await knowledge.search("Which animal is the mascot?")).passages[0].text


async def test_collections_are_kept_apart_and_asked_together(
    knowledge: KnowledgeBase, note: Path, tmp_path: Path
) -> None:
    tides = tmp_path / "tides.md"
    tides.write_text("# Tides\n\nHigh tide in the harbour is at seven in the morning.\n")
    assert not await knowledge.has("harbour")
    assert (await knowledge.hits("When is high tide?", collections=("harbour",))) == ()
    assert not await knowledge.has("harbour")  # asking makes none
    await knowledge.add([note])
    await knowledge.add([tides], collection="harbour")
    assert await knowledge.has("harbour")
    assert [document.title for document in await knowledge.documents(collection="harbour")] == ["Tides"]
    assert [document.title for document in await knowledge.documents()] == ["Mascot"]
    own = await knowledge.search("When is high tide in the harbour?", collections=("harbour",))
    assert own.passages[0].source == tides.as_posix()
    usual = await knowledge.search("When is high tide in the harbour?")
    assert all(passage.source == note.as_posix() for passage in usual.passages)
    both = ("voice_kb", "harbour")
    assert (await knowledge.search("When is high tide in the harbour?", collections=both)).passages == own.passages
    assert "otter" in (await knowledge.search("Which animal is the mascot?", collections=both)).passages[0].text
    assert await knowledge.remove(tides.as_posix(), collection="harbour") == 1
    assert await knowledge.documents(collection="harbour") == ()
    assert len(await knowledge.documents()) == 1


async def test_a_document_that_gives_orders_is_told_to_whoever_adds_it(
    embedder: MiniLmEmbedder, note: Path, tmp_path: Path
) -> None:
    def inspect(text: str) -> tuple[str, ...]:
        return ("speaks_of_otters",) if "otter" in text else ()

    async with open_knowledge(knowledge_settings(), tmp_path / "state", embedder, inspect=inspect) as knowledge:
        assert (await knowledge.add([note])).doubtful == ((note.as_posix(), ("speaks_of_otters",)),)
        assert (await knowledge.add([note])).doubtful == ()  # it was told when it was new
