"""Sentences that people say to assistants and that no flow is for: learned as an intent of their own, which starts nothing."""

from __future__ import annotations

from typing import Final

NAME: Final = "off_topic"
"""What their intent is called among the others."""

_ENGLISH: Final = """
how is the weather today
will it rain tomorrow in london
tell me a joke
what is the capital of france
who won the match last night
how old are you
are you a robot
what is your name
sing me a song
how do I cook rice
what is the meaning of life
who is the president of the united states
is there parking near you
when do you open on sundays
where are your offices
are you hiring
can I talk about something else
what do you think of politics
how far is the moon
translate hello into spanish
what time is it in tokyo
recommend me a good film
how many people work for you
do you like music
I am bored
what is twelve times nine
set an alarm for six
play some jazz
who wrote hamlet
how do I lose weight
what is the best phone to buy
do you sell bicycles
is this website safe
how do I learn python
my computer is slow
what are you wearing
I love you
you are stupid
where can I find a good restaurant
how tall is mount everest
book me a flight to rome
turn off the lights
what is the stock market doing
do you have a newsletter
is your company listed
which colours are in fashion
how do I fix a flat tyre
what happened in 1969
can dogs eat grapes
good luck with everything
"""
_CHINESE: Final = """
今天天气怎么样
明天会下雨吗
讲个笑话
法国的首都是哪里
昨晚的比赛谁赢了
你几岁了
你是机器人吗
你叫什么名字
唱首歌听听
米饭怎么煮
人生的意义是什么
美国总统是谁
你们附近能停车吗
周日几点开门
你们公司在哪里
你们招人吗
我们聊点别的吧
你怎么看这个新闻
月亮离我们多远
把你好翻译成英文
东京现在几点
推荐一部好看的电影
你们有多少员工
你喜欢音乐吗
我好无聊
十二乘九等于多少
帮我定个六点的闹钟
放一首周杰伦的歌
红楼梦是谁写的
怎么减肥
现在买什么手机好
你们卖自行车吗
这个网站安全吗
怎么学编程
我的电脑很卡
你在干什么
我喜欢你
你真笨
附近有什么好吃的
珠穆朗玛峰有多高
帮我订一张去北京的机票
把灯关了
今天股市怎么样
你们有公众号吗
你们公司上市了吗
今年流行什么颜色
轮胎爆了怎么办
1969年发生了什么
狗能吃葡萄吗
祝你好运
"""

OFF_TOPIC: Final = tuple(line for text in (_ENGLISH, _CHINESE) for line in text.strip().splitlines())
"""Fifty in each language."""
