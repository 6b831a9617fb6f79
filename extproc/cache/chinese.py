"""Chinese questions, reduced to what is of weight: there are no spaces, so what says nothing is taken
out, what says the same is written the same way, and the rest is compared character by character."""

import re

OPENINGS = (
    "请问一下", "请问", "请告诉我", "麻烦告诉我", "麻烦问一下", "麻烦", "你好", "您好", "我想知道", "我想问一下", "我想问",
    "想问一下", "想请教一下", "请教一下", "请教", "能不能告诉我", "能告诉我", "可以告诉我", "可不可以告诉我", "能否告诉我",
    "告诉我", "帮我看看", "帮我", "请帮我", "请你", "请您", "请", "我想了解一下", "我想了解", "想了解一下", "想知道",
    "你知道", "您知道", "谁知道", "有谁知道", "有人知道", "我想", "问一下", "那么", "那", "给我讲讲", "给我介绍一下",
    "跟我说说", "说说", "讲讲", "介绍一下", "解释一下", "说明一下",
)  # fmt: skip
ASKS = {
    "怎么样才能": "how",
    "怎么样": "how", "怎样才能": "how", "如何才能": "how", "怎么才能": "how", "应该怎么": "how", "应该如何": "how",
    "该怎么": "how", "该如何": "how", "要怎么": "how", "要如何": "how", "怎么": "how", "如何": "how", "怎样": "how",
    "咋": "how", "的方法是什么": "how", "的步骤是什么": "how", "的方法": "how", "的步骤": "how", "有什么办法": "how",
    "有什么方法": "how", "有没有办法": "how", "用什么方法": "how", "方法": "how", "怎么办": "howfix", "咋办": "howfix",
    "为什么会": "why", "为什么": "why", "为何": "why", "为啥": "why", "怎么会": "why", "的原因是什么": "why",
    "是什么原因": "why", "什么原因": "why", "的原因有哪些": "why", "的原因": "why", "原因": "why",
    "什么时候": "when", "何时": "when", "啥时候": "when", "几时": "when", "哪一年": "year", "哪年": "year", "几点": "clock",
    "多长时间": "long", "多久": "long", "要花多少时间": "long", "多少时间": "long",
    "什么地方": "where", "在哪里": "where", "在哪儿": "where", "哪里": "where", "哪儿": "where", "在哪": "where", "位于": "where",
    "多少钱": "price", "什么价格": "price", "价格是多少": "price", "的价格": "price", "价格": "price", "售价": "price",
    "怎么卖": "price", "是多少": "many", "有多少": "many", "多少": "many", "几个": "count", "多大": "large", "多远": "far",
    "多高": "high", "是谁": "who", "谁": "who", "哪位": "who", "是什么意思": "mean", "什么意思": "mean", "是指什么": "mean",
    "指的是什么": "mean", "的含义": "mean", "的意思": "mean", "的定义": "mean",
    "有哪些": "what", "是什么": "what", "是啥": "what", "什么是": "what", "哪些": "what", "什么": "what", "啥": "what",
    "哪个": "which", "哪种": "which", "哪一个": "which",
    "的区别是什么": "differ", "有什么区别": "differ", "有什么不同": "differ", "有何区别": "differ", "有何不同": "differ",
    "的区别": "differ", "的不同": "differ", "的差别": "differ", "有什么差别": "differ", "区别": "differ", "不同之处": "differ",
    "可不可以": "may", "能不能": "may", "能否": "may", "可以": "may", "是否可以": "may", "能够": "may", "能": "may",
    "吗": "is",
    "是不是": "is", "是否": "is", "有没有": "has", "要不要": "should", "应不应该": "should", "应该": "should",
    "该不该": "should", "需不需要": "must", "需要": "must", "必须": "must",
}  # fmt: skip
"""What is asked for, longest first, wherever it stands."""
TIMES = (
    "今天", "明天", "昨天", "后天", "前天", "现在", "目前", "今年", "去年", "明年", "本周", "这周", "下周", "上周", "今晚", "每天",
    "每周", "每月", "每年",
)  # fmt: skip
SAME = {
    "目前": "现在", "当前": "现在", "这周": "本周", "每日": "每天", "买": "购买", "购买": "购买", "电脑": "计算机",
    "计算机": "计算机", "手机号码": "手机号", "账号": "账户", "帐号": "账户", "账户": "账户", "帐户": "账户", "登陆": "登录",
    "删掉": "删除", "移除": "删除", "去掉": "删除", "删除": "删除", "更改": "修改", "更换": "换", "变更": "修改", "改变": "修改",
    "注册": "注册", "开通": "开通", "照片": "图片", "相片": "图片", "图像": "图片", "好处": "优点", "优势": "优点",
    "坏处": "缺点", "弊端": "缺点", "劣势": "缺点", "孩子": "小孩", "儿童": "小孩", "父母": "爸妈", "爸爸": "父亲",
    "妈妈": "母亲", "医生": "大夫", "单车": "自行车", "土豆": "马铃薯", "番茄": "西红柿", "公交车": "公交", "公共汽车": "公交",
    "地下铁": "地铁", "飞机票": "机票", "火车票": "车票", "快递单号": "运单号", "退钱": "退款", "发票": "发票",
    "开始": "开始", "启动": "启动", "工资": "薪水", "薪资": "薪水", "工作": "工作", "联系": "联系", "查看": "查", "查询": "查",
    "查一下": "查", "制作": "做", "烹饪": "做", "做法": "做how", "症状": "症状", "治疗": "治", "医治": "治", "预防": "防",
    "防止": "防", "避免": "防", "安装": "装", "下载": "下载", "设置": "设", "设定": "设", "配置": "设", "找回": "找回",
    "花费": "花", "费用": "费", "收费": "费", "住址": "地址", "美利坚": "美国", "二": "2", "两": "2", "三": "3", "四": "4",
    "五": "5", "六": "6", "七": "7", "八": "8", "九": "9", "十": "10", "公里": "千米", "公斤": "千克", "%": "百分",
}  # fmt: skip
EMPTY = re.compile(
    "(?:一下子|一下|一些|的话|进行|的|了|吗|呢|吧|啊|呀|嘛|么|哦|我们|我|你|您|是|有|会|要|去|来|把|将|这个|那个|个|地|得)"
)
DIRECTED = frozenset("从到比向给被让由往离和与跟对于成为")
"""What makes it count who stands where."""
NOISE = re.compile(
    r"(?:[\s;?\"'()\[\]、。《》【】…—]|!(?!=)|-(?!\d)|(?<!\d)[,:]|[,:](?!\d)|\.(?!\d))+"
)
"""What only divides; a point before digits is a part of the number, and a minus its sign."""


def longest(words: "list[str] | tuple[str, ...] | dict[str, str]") -> str:
    return "|".join(sorted(map(re.escape, words), key=len, reverse=True))


OPENING = re.compile(f"(?:{longest(OPENINGS)})")
ASK = re.compile(longest(ASKS))
TIME = re.compile(longest(TIMES))
SAYS = re.compile(longest(SAME))
PART = re.compile(r"[a-z0-9][a-z0-9.,:+#_/-]*|\S", re.IGNORECASE)


def reduce(text: str) -> tuple[frozenset[str], tuple[str, ...], frozenset[str]]:
    """Return what is asked for, the rest in order, and the times."""
    plain = NOISE.sub(" ", text.lower()).strip()
    while (opening := OPENING.match(plain)) and opening.end() < len(plain):
        plain = plain[opening.end() :].lstrip()
    plain = SAYS.sub(lambda match: SAME[match[0]], plain)
    times = frozenset(TIME.findall(plain))
    plain = TIME.sub("", plain)
    asks = {ASKS[found] for found in ASK.findall(plain)}
    if asks & {"may", "must", "should", "has"}:
        asks.discard("is")
    asks.discard("what")
    plain = ASK.sub("", plain).replace("how", "")
    rest = EMPTY.sub("", plain)
    return frozenset(asks), tuple(PART.findall(rest)), times
