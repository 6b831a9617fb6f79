# ruff: noqa: RUF001, SIM905 - Chinese has marks of its own; words of a list read better as words
"""Made-up sentences with names of people and organisations, and such without any. Seeded.

Names are put together from common given names and surnames of several peoples, organisations from words and
forms of companies, so nobody is meant. Sentences are as people write to assistants.
"""

import random
from typing import NamedTuple

GIVEN = (
    "James Mary Wei Fatima Carlos Ingrid Kwame Priya Yuki Olga Ahmed Chloe Dmitri Aisha Liam Sofia Hiroshi "
    "Nadia Pierre Zoe Tomasz Leila Bruno Anneke Siddharth Grace Mateo Freya Omar Hannah"
).split()
SURNAME = (
    "Walker Okafor Nguyen Schmidt Patel Rossi Kowalski Tanaka Haddad Jensen Petrov Fernandez O'Brien Khan Moreau "
    "Lindqvist Mbeki Castillo Novak Thompson Ibrahim Fischer Delgado Yamamoto Larsen Chaudhry Bennett Silva"
).split()
STEM = "Northwind Bluefin Halcyon Kestrel Ironbridge Meridian Saffron Quantum Silverlake Aldgate Redwood Orchard".split()
FORM = (
    "Inc.",
    "Ltd",
    "Bank",
    "Technologies",
    "Group",
    "Insurance",
    "Hospital",
    "University",
    "Foundation",
)
EN = (
    "Please write a reference letter for {person}, who worked with me for two years.",
    "I had a call with {person} from {organization} about the renewal.",
    "{person} said the invoice of {organization} was never paid.",
    "Summarise the meeting notes: {person} wants to postpone, {organization} does not agree.",
    "My manager is {person} and I need to ask for a raise.",
    "Draft an email to {person} at {organization} and attach the contract.",
    "Is it legal for {organization} to keep my deposit?",
    "The patient, {person}, was admitted on Tuesday with chest pain.",
    "Reply to {person}'s complaint in a friendly tone.",
    "We signed an agreement with {organization} last year.",
)
EN_NONE = (
    "How do I reverse a linked list in Python without recursion?",
    "Translate the following paragraph into French and keep the tone formal.",
    "What is the weather usually like in Lisbon in March?",
    "Write a SQL query that counts orders per day for the last month.",
    "Explain the difference between TCP and UDP to a beginner.",
    "On Monday we ship version 2.4 and on Friday we freeze the branch.",
    "Give me a recipe for lentil soup that takes less than thirty minutes.",
    "The deployment failed with exit code 137; the pod was out of memory.",
    "Why does the Mediterranean have almost no tides?",
    "Refactor this function so that it has no side effects.",
)
FAMILY = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧"
FIRST = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉萍红建文志鑫宇浩然雨欣"
PLACE = ("北京", "上海", "杭州", "成都", "武汉", "青岛")
KIND = ("科技有限公司", "银行", "人民医院", "大学", "保险公司", "律师事务所", "电子集团")
BRAND = ("华鼎", "中瑞", "天宇", "金桥", "新元", "海川")
ZH = (
    "请帮我给{person}写一封推荐信。",
    "我昨天和{organization}的{person}通了电话，讨论续约的事。",
    "{person}说{organization}的发票一直没有付。",
    "我的经理叫{person}，我想申请加薪。",
    "总结会议纪要：{person}希望推迟，{organization}不同意。",
    "{organization}扣留我的押金合法吗？",
    "患者{person}，周二因胸痛入院。",
    "用友好的语气回复{person}的投诉。",
    "我们去年和{organization}签了协议。",
    "把合同发给{person}，抄送法务。",
)
ZH_NONE = (
    "怎么用Python反转一个链表？",
    "把下面这段话翻译成英文，语气要正式。",
    "三月份里斯本的天气一般怎么样？",
    "写一条查询语句，统计上个月每天的订单数。",
    "给初学者解释一下两种传输协议的区别。",
    "周一发布新版本，周五冻结分支。",
    "部署失败，退出码一百三十七，内存不足。",
    "推荐一个三十分钟以内的汤的做法。",
    "为什么地中海几乎没有潮汐？",
    "重构这个函数，去掉副作用。",
)


class Sample(NamedTuple):
    """A sentence, its language, and the names in it by type."""

    language: str
    text: str
    names: dict[str, str]


def samples(seed: int, count: int) -> list[Sample]:
    """Make sentences: half of them English, a fifth without any name."""
    chance = random.Random(seed)
    return [make(chance, "en" if number % 2 else "zh") for number in range(count)]


def make(chance: random.Random, language: str) -> Sample:
    english = language == "en"
    if chance.random() < 0.2:
        return Sample(language, chance.choice(EN_NONE if english else ZH_NONE), {})
    form = chance.choice(EN if english else ZH)
    given = name(chance) if english else chinese_name(chance)
    names = {kind: value for kind, value in given.items() if f"{{{kind}}}" in form}
    return Sample(language, form.format(**names), names)


def name(chance: random.Random) -> dict[str, str]:
    return {
        "person": f"{chance.choice(GIVEN)} {chance.choice(SURNAME)}",
        "organization": f"{chance.choice(STEM)} {chance.choice(FORM)}",
    }


def chinese_name(chance: random.Random) -> dict[str, str]:
    given = "".join(chance.sample(FIRST, chance.choice((1, 2))))
    return {
        "person": chance.choice(FAMILY) + given,
        "organization": chance.choice(PLACE) + chance.choice(BRAND) + chance.choice(KIND),
    }
