"""The words of English questions: which say nothing, which say the same, which ask for what. Short on
purpose: every entry must be right in any sentence."""


def listed(text: str) -> frozenset[str]:
    return frozenset(text.split())


CONTRACTED = {
    "can't": "can not", "cannot": "can not", "won't": "will not", "shan't": "shall not",
    "what's": "what is", "where's": "where is", "who's": "who is", "how's": "how is",
    "when's": "when is", "why's": "why is", "it's": "it is", "that's": "that is",
    "there's": "there is", "i'm": "i am", "i'd": "i would", "i've": "i have", "i'll": "i will",
    "let's": "let us", "you're": "you are", "gonna": "going to", "wanna": "want to",
}  # fmt: skip

OPENINGS = (
    "can you please", "could you please", "would you please", "can you", "could you", "would you",
    "will you", "please", "kindly", "hello", "hi", "hey", "hi there", "thanks", "thank you",
    "i want to know", "i would like to know", "i need to know", "i was wondering", "i am wondering",
    "i wonder", "do you know", "do you happen to know", "any idea", "tell me", "let me know",
    "help me understand", "help me", "i want you to", "i would like you to", "i need you to",
    "i need help with", "i have a question", "quick question", "just wondering", "if", "about",
    "explain to me", "teach me", "show me", "give me", "i am trying to find out", "find out",
)  # fmt: skip
"""What a question begins with that is no part of it."""
PHRASES = {
    "how do i": "how", "how do you": "how", "how can i": "how", "how can you": "how",
    "how could i": "how", "how should i": "how", "how would i": "how", "how do we": "how",
    "how can we": "how", "how does one": "how", "how can one": "how", "how to": "how",
    "how do people": "how", "how would you": "how", "how am i supposed to": "how",
    "how might i": "how", "how will i": "how", "how must i": "how",
    "what is the way to": "how", "what is a way to": "how", "what are the steps to": "how",
    "what steps do i take to": "how", "what are the steps for": "how", "steps to": "how",
    "the steps to": "how", "the way to": "how", "a way to": "how", "what should i do to": "how",
    "what do i need to do to": "how", "what do i have to do to": "how", "what do i do to": "how",
    "what must i do to": "how", "instructions for": "how", "instructions on how to": "how",
    "i want to": "how", "i need to": "how", "i would like to": "how", "i am trying to": "how",
    "what is the procedure for": "how", "what is the process for": "how",
    "is there a way to": "how", "is there any way to": "how",
    "what is the reason for": "why", "what is the reason that": "why", "how come": "why",
    "what causes": "why_cause", "what is the cause of": "why_cause", "what are the causes of": "why_cause",
    "for what reason": "why", "why is it that": "why", "the reason why": "why", "what makes": "why_cause",
    "how many": "howmany", "what is the number of": "howmany", "what number of": "howmany",
    "the number of": "howmany", "how much": "howmuch", "how long": "howlong", "how far": "howfar",
    "how old": "howold", "how often": "howoften", "how tall": "howtall", "how big": "howlarge",
    "how large": "howlarge", "how fast": "howfast", "how high": "howtall",
    "what is the height of": "howtall", "how deep": "howdeep",
    "at what time": "when_time", "what time": "when_time", "in what year": "whatyear",
    "in which year": "whatyear", "what year": "whatyear", "which year": "whatyear",
    "how frequently": "howoften", "what length of time": "howlong", "how much time": "howlong",
    "where can i find": "where_find", "where do i find": "where_find", "where could i find": "where_find",
    "where can i": "where_do", "where do i": "where_do", "where could i": "where_do",
    "where should i": "where_do",
    "what does it mean when": "why_mean", "what is meant by": "mean", "what is the meaning of": "mean",
    "what is the definition of": "mean", "the definition of": "mean", "the meaning of": "mean",
    "is it possible to": "may", "is it possible for me to": "may", "am i able to": "may",
    "am i allowed to": "allowed", "is it allowed to": "allowed", "is it ok to": "okay",
    "is it okay to": "okay", "is it fine to": "okay", "is it all right to": "okay",
    "is it safe to": "safe", "should i": "should", "can i": "may", "could i": "may", "may i": "may",
    "can we": "may", "do i have to": "must", "do i need to": "must", "must i": "must",
    "am i required to": "must", "is it necessary to": "must",
    "what is the difference between": "differ", "what are the differences between": "differ",
    "the difference between": "differ", "the differences between": "differ",
    "what distinguishes": "differ", "able to": "may",
    "do i need": "must",
    "do i have to get": "must",
    "do i have to have": "must",
    "is it necessary to have": "must",
    "what is the price of": "cost", "what does": "what_does",
    "what is the cost of": "cost", "what are": "what", "what is": "what", "what was": "what past",
    "what were": "what past", "which is": "what", "who is": "who", "who was": "who past",
    "where is": "where", "where are": "where", "where was": "where past", "when is": "when",
    "when was": "when past", "when did": "when past", "who are": "who", "why is": "why", "why are": "why",
    "why does": "why", "why do": "why", "why did": "why past", "why was": "why past",
    "how is": "howis", "how are": "howis", "how does": "howis", "did": "past", "was": "past",
    "were": "past", "will": "future", "is going to": "future", "are going to": "future",
    "as of now": "now", "at the moment": "now", "at present": "now", "right now": "now",
    "log in to": "login", "sign in to": "login", "log into": "login", "sign into": "login",
    "log in": "login", "sign in": "login", "log out": "logout", "sign out": "logout",
    "log out of": "logout", "sign out of": "logout", "sign up for": "register", "sign up": "register",
    "set up": "setup", "get rid of": "remove", "a lot of": "many", "lots of": "many",
    "e-mail": "email", "e mail": "email", "united states of america": "usa", "united states": "usa",
    "united kingdom": "uk", "great britain": "uk", "new york city": "newyork", "new york": "newyork",
    "mobile phone": "mobile", "cell phone": "mobile", "cellular phone": "mobile",
    "web site": "website", "web page": "webpage", "switch on": "turn on", "switch off": "turn off",
    "per cent": "%",
    "percent": "%",
    "into": "to", "as well as": "and", "in order to": "to", "due to": "because",
    "carry out": "perform", "brush up on": "review", "call off": "cancel", "find out": "learn",
    "look up": "find", "fill in": "fill", "fill out": "fill", "give back": "return",
    "a couple of": "2", "a dozen": "12", "one half": "half", "tv set": "tv", "phone number": "phonenumber",
    "telephone number": "phonenumber", "my own": "my", "each day": "daily", "every day": "daily",
    "per day": "daily", "a day": "daily", "each week": "weekly", "every week": "weekly",
    "per week": "weekly", "a week": "weekly", "every month": "monthly", "per month": "monthly",
    "a month": "monthly", "per year": "yearly", "every year": "yearly", "a year": "yearly",
}  # fmt: skip
"""What is said in several words, longest first."""

ASKS = {
    word: word
    for word in listed(
        """how why why_cause why_mean howmany howmuch howlong howfar howold howoften howtall
        howlarge howfast howdeep when_time whatyear where_find where_do where when who whose
        mean may allowed okay safe should must differ howis past future what list what_does"""
    )
} | {
    "can": "may",
    "could": "may",
    "required": "must",
    "necessary": "must",
    "which": "what",
    "name": "what",
}
"""What a word asks for."""
WHETHER = listed("""is are am do does did has have was were will would""")
"""What a question begins with that is answered by yes or no."""

EMPTY = listed(
    """explain describe a an the of in on for is are am be been being do does have has had my me i
    you your our we us it its this that these those there here and so just really actually
    basically currently simply please kindly exactly then also too some would shall"""
)
DIRECTED = listed(
    """to from than into before after over under above below between against versus vs by with
    without until till since per not no never cause eat beat owe sell buy give take lend borrow
    convert translate exceed precede follow replace contain include win lose and or if because
    because_of ahead behind outside inside"""
)
TIMES = listed(
    """today tomorrow yesterday tonight now daily weekly monthly yearly monday tuesday wednesday
    thursday friday saturday sunday"""
)
NUMBERS = dict(
    zip(
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"],
        map(str, range(21)),
        strict=True,
    )
) | {"thirty": "30", "forty": "40", "fifty": "50", "sixty": "60", "hundred": "100"}  # fmt: skip
SHOUTED = frozenset(
    {"US", "IT", "WHO", "AM", "IS", "OR", "AND", "NOT", "ON", "IN", "DO", "HE", "ME", "SO"}
)
"""Short names that are words in small letters."""

SAME = """
buy purchase | car automobile | begin start commence | big large | delete remove erase | create make
repair fix mend | quick fast rapid | kid child children | movie film | find locate | get obtain
need require | help assist | choose select pick | display show | use utilize | happen occur
allow permit let | picture photo photograph image | shop store | gift present | reply answer respond
wrong incorrect | error mistake | stop quit | sofa couch | metro subway underground | apartment flat
elevator lift | refund reimbursement | bill invoice | doctor physician | vacation holiday | finish end
sick ill | speak talk | smart intelligent clever | bicycle bike | cost price | illness disease sickness
mobile cellphone smartphone mobiles | usa america | uk britain | lawyer attorney | garbage trash rubbish
film movie | tv television | fridge refrigerator | plane airplane aeroplane | kilometer kilometre km
meter metre | liter litre | color colour | center centre | mile miles | kilogram kg kilo kilos
gram g | pound lb lbs | hour hr hrs | minute min mins | second sec secs | celsius centigrade
ingredient ingredients | symptom sign | method way approach | advantage pro benefit | drawback
disadvantage con downside | password passcode | photo picture |   teach instruct
acquire get | attempt try | enormous huge | difficult hard | simple easy  | cheap inexpensive
expensive costly | wealthy rich | famous wellknown  | stomach belly | signup register
enroll register | cancel terminate cancelling canceling | book reserve  | important significant | reduce decrease lower
increase raise boost | purchase buy | transmit send | modify change alter edit | copy duplicate
configure setup |   biscuit cookie | vehicle automobile | versus vs | info information
approximately about around roughly | author writer | largest biggest | smallest tiniest | kind type sort
job occupation profession | area region | salary wage pay | prevent avoid | treat cure heal remedy
"""
