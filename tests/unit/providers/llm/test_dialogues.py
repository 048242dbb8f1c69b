"""Whole conversations by text, through the real model, the real embedder and a loop of real tool results."""

from __future__ import annotations

import pytest
from tests.unit.providers.llm.shop import ALL_ORDERS, JACKET, MUGS, TENT, Conversation, Shop

from voice_agent.models import Message, Role, ToolCall, ToolResult, ToolStatus
from voice_agent.providers.embedding.minilm import MiniLmEmbedder
from voice_agent.providers.llm.builtin import BuiltinLanguageModel


@pytest.fixture
def talk(model: BuiltinLanguageModel, embedder: MiniLmEmbedder) -> Conversation:
    return Conversation(model, Shop(embedder))


def talk_with(model: BuiltinLanguageModel, shop: Shop) -> Conversation:
    return Conversation(model, shop)


async def test_one_order_and_everything_about_it(model: BuiltinLanguageModel, embedder: MiniLmEmbedder) -> None:
    talk = talk_with(model, Shop(embedder, orders=(JACKET,)))
    assert "Hello" in (await talk.say("hello")).text or "Hi" in talk.messages[-1].text
    first = await talk.say("Where's my parcel?")
    assert first.calls == [("order_status", {})]
    assert "Order 83102 is on its way with UPS" in first.text
    assert "November 24" in first.text
    for question, words in (
        ("when will it arrive", "November 24"),
        ("what was in it", "a Trail Runner rain jacket and 3 pairs of wool socks"),
        ("how much did it cost", "$187.50"),
        ("who is delivering it", "UPS"),
        ("when did I order it", "Wednesday, November 18"),
    ):
        turn = await talk.say(question)
        assert turn.calls == [], question
        assert words in turn.text, question
    assert "welcome" in (await talk.say("thank you")).text.lower() or "help" in talk.messages[-1].text
    last = await talk.say("no, that's all")
    assert last.tools == ["end_call"]
    assert "Goodbye" in last.text


async def test_several_orders_are_named_and_one_is_asked_for(talk: Conversation) -> None:
    named = await talk.say("when will my order arrive")
    assert all(order["order_id"] in named.text for order in ALL_ORDERS)
    assert named.text.endswith("?")
    tent = await talk.say("the first one")
    assert tent.calls == []
    assert tent.text == "Order 83240 should arrive on Friday, November 27."
    assert "Tuesday, November 24" in (await talk.say("and the jacket?")).text
    assert "delivered already" in (await talk.say("what about order eight three one one seven")).text
    assert "$72" in (await talk.say("how much was that one")).text


async def test_the_other_one_of_two(model: BuiltinLanguageModel, embedder: MiniLmEmbedder) -> None:
    talk = talk_with(model, Shop(embedder, orders=(TENT, MUGS)))
    await talk.say("where is my order")
    assert "83117" in (await talk.say("the mugs")).text
    assert "83240 is being prepared" in (await talk.say("and the other one?")).text
    assert "83117 was delivered" in (await talk.say("no sorry the other one")).text
    both = await talk.say("tell me about both of them")
    assert "83240" in both.text
    assert "83117" in both.text


async def test_corrections(talk: Conversation) -> None:
    wrong = await talk.say("where is order 83117")
    assert wrong.calls == [("order_status", {"order_id": "83117"})]
    right = await talk.say("no, I meant order eight three one oh two")
    assert right.calls == [("order_status", {"order_id": "83102"})]
    assert "83102" in right.text
    again = await talk.say("no, not 83102, 83240")
    assert again.calls == [("order_status", {"order_id": "83240"})]
    assert "What" in (await talk.say("that's not what I meant")).text
    assert (await talk.say("I wanted to ask about your return policy")).tools == ["knowledge_base"]


async def test_a_number_that_is_not_theirs(talk: Conversation) -> None:
    missing = await talk.say("I'd like to know where order 99999 is")
    assert "can't find order 99999" in missing.text
    listed = await talk.say("yes please")
    assert listed.calls == [("order_status", {})]
    assert "83117" in listed.text
    assert "83240" in (await talk.say("I mean the one with the tent")).text


async def test_a_number_instead_of_yes_or_no(talk: Conversation) -> None:
    await talk.say("I'd like to know where order 99999 is")
    turn = await talk.say("no, it's 83117")
    assert turn.calls == [("order_status", {"order_id": "83117"})]


async def test_knowledge_questions_and_going_on_from_them(talk: Conversation) -> None:
    policy = await talk.say("What's your return policy?")
    assert policy.tools == ["knowledge_base"]
    assert policy.text.startswith("You can return anything within 30 days of delivery")
    store = await talk.say("can I do that in a store")
    assert "any of our stores" in store.text
    cost = await talk.say("how much is shipping")
    assert "5 dollars and 95 cents" in cost.text
    express = await talk.say("and express?")
    assert express.calls == [("knowledge_base", {"query": "how much is shipping express?"})]
    assert "14 dollars and 95 cents" in express.text


async def test_several_go_on_from_the_same_question(talk: Conversation) -> None:
    await talk.say("how much is shipping")
    await talk.say("and express?")
    standard = await talk.say("and standard?")
    assert standard.calls == [("knowledge_base", {"query": "how much is shipping standard?"})]
    assert "5 dollars and 95 cents" in standard.text


async def test_a_long_question_goes_on_as_its_subject(talk: Conversation) -> None:
    await talk.say("hi there i was wondering if you could tell me how much it would be to have things shipped to me")
    express = await talk.say("and by express?")
    assert express.calls == [("knowledge_base", {"query": "Shipping costs by express?"})]
    assert "14 dollars and 95 cents" in express.text


async def test_it_is_what_was_just_asked_about_and_no_order(talk: Conversation) -> None:
    await talk.say("do you have express shipping")
    price = await talk.say("how much is it")
    assert price.calls == [("knowledge_base", {"query": "do you have express shipping how much is it"})]
    assert "14 dollars and 95 cents" in price.text
    assert (await talk.say("where is order 83102")).tools == ["order_status"]
    assert "$187.50" in (await talk.say("how much is it")).text


async def test_a_question_stays_open_while_the_caller_takes_time(talk: Conversation) -> None:
    await talk.say("where is my order")
    assert (await talk.say("hang on a minute")).calls == []
    assert "83102 is on its way" in (await talk.say("the rain jacket")).text


async def test_what_the_shop_does_not_know_goes_to_a_human(talk: Conversation) -> None:
    unknown = await talk.say("do you sell car tires")
    assert unknown.tools == ["knowledge_base"]
    assert "colleague?" in unknown.text
    handed = await talk.say("yes please")
    assert handed.tools == ["transfer_to_human"]
    assert handed.calls[0][1]["reason"]
    assert "car tires" in handed.calls[0][1]["summary"]


async def test_declining_the_human(talk: Conversation) -> None:
    await talk.say("please cancel my order")
    declined = await talk.say("no thanks")
    assert declined.calls == []
    assert declined.text.endswith("?")
    assert (await talk.say("where are my socks")).calls == [("order_status", {})]


async def test_repeat_slower_and_shorter(talk: Conversation) -> None:
    answer = await talk.say("where is order 83102")
    repeated = await talk.say("sorry, what did you say?")
    assert answer.text in repeated.text
    once_more = await talk.say("say that again please")
    assert once_more.text.count("I said") == 1
    assert answer.text in once_more.text
    assert "8, 3, 1, 0, 2" in (await talk.say("more slowly please")).text


async def test_shorter(talk: Conversation) -> None:
    await talk.say("where is order 83102")
    assert (await talk.say("the short version please")).text == "In short: Order 83102 is on its way with UPS."
    slower = (await talk.say("slower please")).text
    assert slower == "Of course, more slowly. Order 8, 3, 1, 0, 2 is on its way with UPS."


async def test_continuing_after_an_interruption(talk: Conversation) -> None:
    whole = (await talk.say("where is order 83102")).text
    talk.interrupt(heard_words=9)
    rest = await talk.say("go on")
    assert rest.calls == []
    assert rest.text == whole.split(". ", 1)[1]


async def test_a_new_question_after_an_interruption_is_answered(talk: Conversation) -> None:
    await talk.say("where is my order")
    talk.interrupt(heard_words=4)
    turn = await talk.say("what are your opening hours")
    assert turn.tools == ["knowledge_base"]
    assert "Monday to Saturday" in turn.text


async def test_thanks_into_the_goodbye_still_ends_the_call(talk: Conversation) -> None:
    assert (await talk.say("no, that's all")).tools == ["end_call"]
    talk.interrupt(heard_words=3)
    thanks = await talk.say("thank you")
    assert thanks.tools == ["end_call"]
    talk.interrupt(heard_words=3)
    assert (await talk.say("wait, how much is express shipping")).tools == ["knowledge_base"]
    assert (await talk.say("thank you")).tools == []


async def test_a_plea_for_help_beside_a_question_gets_no_answer_of_its_own(talk: Conversation) -> None:
    turn = await talk.say("Hi, I have a question about shipping. What can you do for me? How much is express shipping?")
    assert "14 dollars and 95 cents" in turn.text
    assert "look up your orders" not in turn.text


async def test_what_should_i_do_belongs_to_the_trouble_told_before(talk: Conversation) -> None:
    await talk.say("my card for the payment is no longer valid")
    turn = await talk.say("What should I do?")
    assert turn.calls == [("knowledge_base", {"query": "my card for the payment is no longer valid What should I do?"})]
    assert "look up your orders" not in turn.text


async def test_not_understood_three_times_offers_a_human(talk: Conversation) -> None:
    first = await talk.say("blah")
    second = await talk.say("gloop gloop")
    third = await talk.say("frobnicate")
    assert first.text != second.text
    assert "colleague" not in first.text
    assert "colleague" in second.text
    assert "colleague" in third.text
    assert (await talk.say("yeah go ahead")).tools == ["transfer_to_human"]


async def test_two_questions_in_one_turn(talk: Conversation) -> None:
    turn = await talk.say("where is order 83102 and what's your return policy?")
    assert sorted(turn.tools) == ["knowledge_base", "order_status"]
    assert "83102 is on its way" in turn.text
    assert "within 30 days" in turn.text


async def test_a_question_that_stays_open_comes_last(talk: Conversation) -> None:
    turn = await talk.say("where is my order and what's your return policy?")
    assert turn.text.endswith("?")
    assert turn.text.index("within 30 days") < turn.text.index("83240")


async def test_trouble_is_acknowledged_and_the_question_answered(talk: Conversation) -> None:
    turn = await talk.say("This is ridiculous! Where is order 83102?")
    assert turn.calls == [("order_status", {"order_id": "83102"})]
    assert turn.text.startswith("I'm sorry about the trouble. Order 83102")


async def test_the_request_made_before_the_pin_is_answered_after_it(
    model: BuiltinLanguageModel, embedder: MiniLmEmbedder
) -> None:
    talk = talk_with(model, Shop(embedder, verified=False))
    denied = await talk.say("where is order 83102")
    assert denied.calls == [("order_status", {"order_id": "83102"})]
    assert "PIN" in denied.text
    talk.messages.append(Message(Role.AGENT, "Please tell me your four digit PIN."))
    talk.messages.append(Message(Role.CALLER, "[PIN]"))
    talk.messages.append(Message(Role.AGENT, "Thank you, that's right."))
    talk.shop.verified = True
    answered = await talk.answer()
    assert answered.calls == [("order_status", {"order_id": "83102"})]
    assert "83102 is on its way" in answered.text


async def test_a_broken_tool_is_said_and_not_called_again(
    model: BuiltinLanguageModel, embedder: MiniLmEmbedder
) -> None:
    talk = talk_with(model, Shop(embedder, broken=frozenset({"order_status"})))
    turn = await talk.say("where is my order")
    assert turn.tools == ["order_status"]
    assert turn.text.startswith("I can't reach that system.")
    assert (await talk.say("yes")).tools == ["transfer_to_human"]


async def test_without_orders(model: BuiltinLanguageModel, embedder: MiniLmEmbedder) -> None:
    talk = talk_with(model, Shop(embedder, orders=()))
    assert "can't find any orders" in (await talk.say("where is my order")).text


async def test_more_orders_than_anybody_listens_to(model: BuiltinLanguageModel, embedder: MiniLmEmbedder) -> None:
    many = [{**MUGS, "order_id": str(number)} for number in range(70001, 70006)]
    talk = talk_with(model, Shop(embedder, orders=many))
    named = (await talk.say("where is my order")).text
    assert [str(number) in named for number in range(70001, 70006)] == [True, True, True, False, False]


async def test_tools_that_are_not_offered_are_not_called(model: BuiltinLanguageModel, embedder: MiniLmEmbedder) -> None:
    talk = Conversation(model, Shop(embedder), tools=())
    assert "don't know" in (await talk.say("what's your return policy")).text
    assert "can't reach a colleague" in (await talk.say("yes please")).text
    assert (await talk.say("let me talk to a person")).calls == []
    assert "Goodbye" in (await talk.say("bye")).text


async def test_the_last_round_may_use_results_without_being_offered_tools(talk: Conversation) -> None:
    talk.messages.append(Message(Role.CALLER, "where is order 83102"))
    call = ToolCall("c1", "order_status", '{"order_id":"83102"}')
    talk.messages.append(Message(Role.AGENT, "", tool_calls=(call,)))
    talk.messages.append(
        Message(Role.TOOL, "", tool_result=ToolResult("c1", "order_status", ToolStatus.OK, {"orders": [dict(JACKET)]}))
    )
    talk.tools = ()
    assert "83102 is on its way" in (await talk.answer()).text


async def test_misheard_words(talk: Conversation) -> None:
    assert (await talk.say("uh hi um where's my um order")).calls == [("order_status", {})]
    assert "83240" in (await talk.say("the won with the tend")).text or "83240" in (await talk.say("the tent won")).text
    assert "83102" in (await talk.say("and the rain jackit")).text


async def test_nothing_is_remembered_between_requests(talk: Conversation) -> None:
    await talk.say("where is my order")
    await talk.say("the second one")
    talk.messages.append(Message(Role.CALLER, "what was in it"))
    first = await talk.round()
    assert await talk.round() == first


async def test_no_caller_words_yet(model: BuiltinLanguageModel, embedder: MiniLmEmbedder) -> None:
    talk = talk_with(model, Shop(embedder))
    turn = await talk.answer()
    assert turn.text
    assert turn.calls == []
