"""Sentences with known values in known places, and others that only look like it: made without a look at the detectors' lists.

Checksums are computed here, names and streets come from lists of this file, which overlap with the detectors' only in part.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

KINDS = ("phone", "email", "id_card", "bank_card", "passport", "address", "name", "national_id", "iban", "plate", "ip")


class Sentence(NamedTuple):
    """A text and the values in it: (start, end, kind)."""

    text: str
    spans: tuple[tuple[int, int, str], ...]
    language: str


ZH_SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林罗高郑梁谢宋唐许韩冯邓曹彭曾肖田董潘袁蔡蒋余于杜叶程魏苏吕丁任卢姚沈钟姜崔谭陆范汪廖石金韦贾夏付方邹熊白孟秦邱侯江尹薛闫段雷龙黎史陶贺毛郝顾龚邵万覃武钱戴严莫孔向常汤"
ZH_COMPOUND = ("欧阳", "司马", "上官", "诸葛", "皇甫")
ZH_GIVEN = "伟芳娜敏静秀丽强磊军洋勇艳杰娟涛明超霞平刚桂英华玉兰红建国志文斌辉玲鹏健波宁浩宇轩梓涵子欣怡诗雨佳思嘉俊晨阳博睿泽悦琪瑶雪梅婷慧琳云飞海峰春秋冬晓翠莲素珍凤琴淑贤振东亚楠书豪奕辰可馨沐若溪瑾萱立诚"
EN_FIRST = (
    "James Mary Robert Patricia John Jennifer Michael Linda David Elizabeth William Barbara Richard Susan Joseph Jessica Thomas Sarah "
    "Charles Karen Daniel Lisa Matthew Nancy Anthony Betty Mark Sandra Priya Wei Fatima Carlos Olga Hiroshi Amara Niamh Sven Ingrid Kofi "
    "Leila Marco Giulia Pavel Anneliese Dmitri Zainab Tariq Chiara"
).split()
EN_LAST = (
    "Smith Johnson Williams Brown Jones Garcia Miller Davis Wilson Anderson Taylor Thomas Moore Jackson Martin Lee Thompson White Harris "
    "Clark Lewis Robinson Walker Young Nguyen O'Brien McDonald Petrov Schneider Okafor Rossi Tanaka Kowalski Lindqvist Haddad Silva "
    "Fernandes Castellano Abernathy Featherstone"
).split()
ZH_PLACES = (
    ("北京市", ("海淀区", "朝阳区", "东城区", "丰台区")), ("上海市", ("浦东新区", "徐汇区", "静安区")), ("广东省深圳市", ("南山区", "福田区", "宝安区")),
    ("浙江省杭州市", ("西湖区", "滨江区", "余杭区")), ("四川省成都市", ("武侯区", "锦江区", "高新区")), ("江苏省南京市", ("玄武区", "鼓楼区")),
    ("湖北省武汉市", ("武昌区", "洪山区")), ("陕西省西安市", ("雁塔区", "碑林区")), ("重庆市", ("渝中区", "江北区")), ("山东省青岛市", ("市南区", "崂山区")),
    ("河北省石家庄市", ("长安区", "桥西区")), ("福建省厦门市", ("思明区", "湖里区")), ("内蒙古自治区呼和浩特市", ("新城区",)), ("江苏省昆山市", ("",)),
)  # fmt: skip
ZH_ROADS = "人民路 解放大道 中山东路 长江路 文三路 天府大道北段 科技园南路 学院路 建设街 和平巷 南京西路 滨海大道 青年路 幸福里路 五一大街 胜利胡同".split()
ZH_SITES = "阳光花园 万科城市花园 锦绣家园 翠湖小区 世纪公寓 金地广场 龙湖小区".split()
EN_STREETS = "Main Oak Maple Cedar Washington Lake Park Elm Baker Highland Sunset Riverside Churchill Victoria Rose Mill King Abbey".split()
EN_TYPES = "Street St Avenue Ave Road Rd Lane Drive Boulevard Blvd Court Terrace".split()
EN_TOWNS = (
    ("Springfield", "IL"), ("Portland", "OR"), ("Austin", "TX"), ("New York", "NY"), ("San Diego", "CA"), ("Madison", "WI"),
    ("Cedar Rapids", "IA"), ("Boulder", "CO"),
)  # fmt: skip
UK_TOWNS = (("London", "SW1A 2AA"), ("Leeds", "LS1 4AP"), ("Manchester", "M1 1AE"), ("Bristol", "BS8 1TH"))
HOSTS = "example.com gmail.com qq.com 163.com outlook.com mail.example.co.uk foxmail.com corp.example.org".split()


def _digits(rng: random.Random, count: int) -> str:
    return "".join(rng.choice("0123456789") for _ in range(count))


# --- values ---


def id_card(rng: random.Random) -> str:
    region = rng.choice(["110105", "310104", "440305", "330106", "510107", "420111", "610113", "370202"])
    body = f"{region}{rng.randint(1945, 2010)}{rng.randint(1, 12):02}{rng.randint(1, 28):02}{rng.randint(1, 999):03}"
    weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]
    return body + "10X98765432"[sum(int(one) * weight for one, weight in zip(body, weights, strict=True)) % 11]


def old_id_card(rng: random.Random) -> str:
    region = rng.choice(["110105", "310104", "440305"])
    return f"{region}{rng.randint(45, 99)}{rng.randint(1, 12):02}{rng.randint(1, 28):02}{rng.randint(1, 999):03}"


def luhn(body: str) -> str:
    total = 0
    for place, one in enumerate(reversed(body)):
        number = int(one) * (2 if place % 2 == 0 else 1)
        total += number - 9 if number > 9 else number
    return body + str(-total % 10)


def card(rng: random.Random) -> str:
    prefix, length = rng.choice(
        [
            ("4", 16),
            ("51", 16),
            ("55", 16),
            ("622202", 19),
            ("621700", 19),
            ("622588", 16),
            ("6011", 16),
            ("37", 15),
            ("2223", 16),
            ("356", 16),
        ]
    )
    return luhn(prefix + _digits(rng, length - 1 - len(prefix)))


def grouped(value: str, size: int, gap: str) -> str:
    return gap.join(value[at : at + size] for at in range(0, len(value), size))


def full_width(value: str) -> str:
    return "".join(chr(ord(one) + 0xFEE0) if "!" <= one <= "~" else one for one in value)


def mobile(rng: random.Random) -> str:
    number = rng.choice(["13", "15", "17", "18", "19"]) + _digits(rng, 9)
    parts = number[:3], number[3:7], number[7:]
    spoken = str.maketrans("0123456789", "零一二三四五六七八九")
    return rng.choice(
        [
            number, number, number, " ".join(parts), "-".join(parts), "·".join(parts), ".".join(parts), full_width(number),
            full_width(parts[0]) + " " + full_width(parts[1]) + " " + full_width(parts[2]), f"+86 {number}", f"+86-{'-'.join(parts)}",
            f"0086{number}", number.translate(spoken), number.replace("1", "幺", 1).translate(spoken), "\u200b".join(parts),
            " ".join(number), f"(+86){number}",
        ]
    )  # fmt: skip


def landline(rng: random.Random) -> str:
    area = rng.choice(["010", "021", "0755", "0571", "028", "0512"])
    local = rng.choice("2345678") + _digits(rng, 7)
    return rng.choice(
        [f"{area}-{local}", f"({area}){local}", f"{area} {local}", f"{area}-{local[:4]}-{local[4:]}", area + local]
    )


def abroad(rng: random.Random) -> str:
    area, mid, last = str(rng.randint(201, 989)), str(rng.randint(200, 999)), _digits(rng, 4)
    return rng.choice(
        [
            f"+1 ({area}) {mid}-{last}", f"+1 {area} {mid} {last}", f"({area}) {mid}-{last}", f"{area}-{mid}-{last}", f"{area}.{mid}.{last}",
            f"+44 20 7{_digits(rng, 3)} {_digits(rng, 4)}", f"07{_digits(rng, 3)} {_digits(rng, 6)}", f"+49 30 {_digits(rng, 8)}",
            f"+1{area}{mid}{last}", f"1-{area}-{mid}-{last}", f"+33 6 {grouped(_digits(rng, 8), 2, ' ')}",
        ]
    )  # fmt: skip


def email(rng: random.Random) -> str:
    name = rng.choice(["jane.doe", "li_ming", "a.b+tag", "zhang2008", "x", "support-team", "13800001234", "Wang.Wei"])
    value = f"{name}{rng.randint(1, 99)}@{rng.choice(HOSTS)}"
    return value if rng.random() < 0.9 else full_width(value)


def zh_name(rng: random.Random) -> str:
    if rng.random() < 0.06:
        return rng.choice(ZH_COMPOUND) + "".join(rng.choice(ZH_GIVEN) for _ in range(rng.randint(1, 2)))
    return rng.choice(ZH_SURNAMES) + "".join(rng.choice(ZH_GIVEN) for _ in range(rng.choice([1, 2, 2])))


def en_name(rng: random.Random) -> str:
    middle = f" {rng.choice('ABCDEJKLMRS')}." if rng.random() < 0.1 else ""
    return f"{rng.choice(EN_FIRST)}{middle} {rng.choice(EN_LAST)}"


def zh_address(rng: random.Random) -> str:
    town, districts = rng.choice(ZH_PLACES)
    whole = town + rng.choice(districts) if rng.random() < 0.85 else rng.choice(districts)
    number = f"{rng.randint(1, 999)}号"
    inside = rng.choice(
        [
            "",
            f"{rng.randint(1, 30)}栋{rng.randint(101, 2505)}室",
            f"{rng.choice(ZH_SITES)}{rng.randint(1, 20)}号楼{rng.randint(1, 6)}单元{rng.randint(101, 999)}",
            "A座12层",
            f"院{rng.randint(1, 9)}号楼",
        ]
    )
    return f"{whole}{rng.choice(ZH_ROADS)}{number}{inside}"


def en_address(rng: random.Random) -> str:
    house = f"{rng.randint(1, 9999)}{rng.choice(['', '', '', 'B'])} {rng.choice(['', '', 'N ', 'West '])}{rng.choice(EN_STREETS)} {rng.choice(EN_TYPES)}"
    inside = rng.choice(
        ["", "", f", Apt {rng.randint(1, 40)}", f" Suite {rng.randint(100, 900)}", f", Unit {rng.choice('ABC')}"]
    )
    if rng.random() < 0.4:
        town, code = rng.choice(UK_TOWNS)
        return f"{house}, {town}" + rng.choice(["", f" {code}", f", {code}"])
    town, state = rng.choice(EN_TOWNS)
    if rng.random() < 0.1:
        return f"P.O. Box {rng.randint(1, 9999)}, {town}, {state} {_digits(rng, 5)}"
    return f"{house}{inside}, {town}, {state} {rng.randint(10000, 99999)}"


def zh_passport(rng: random.Random) -> str:
    return rng.choice([f"E{_digits(rng, 8)}", f"G{_digits(rng, 8)}", f"E{rng.choice('ABCDEFGH')}{_digits(rng, 7)}"])


def en_passport(rng: random.Random) -> str:
    return rng.choice([f"E{_digits(rng, 8)}", _digits(rng, 9), f"C{_digits(rng, 8)}", f"AB{_digits(rng, 7)}"])


def ssn(rng: random.Random) -> str:
    return f"{rng.choice([*range(1, 666), *range(667, 900)]):03}-{rng.randint(1, 99):02}-{rng.randint(1, 9999):04}"


def iban(rng: random.Random) -> str:
    country, body = rng.choice(
        [
            ("DE", _digits(rng, 18)),
            ("GB", "NWBK" + _digits(rng, 14)),
            ("FR", _digits(rng, 23)),
            ("NL", "ABNA" + _digits(rng, 10)),
        ]
    )
    number = int("".join(str(int(one, 36)) for one in body + country + "00"))
    value = f"{country}{98 - number % 97:02}{body}"
    return value if rng.random() < 0.5 else grouped(value, 4, " ")


def plate(rng: random.Random) -> str:
    letters = "ABCDEFGHJKLMNPQRSTUVWXYZ"
    tail = "".join(rng.choice(letters + "0123456789") for _ in range(2)) + _digits(rng, 3)
    return (
        rng.choice("京沪粤浙苏川鲁")
        + rng.choice("ABCDE")
        + rng.choice(["", "·"])
        + rng.choice([tail, "D" + _digits(rng, 5)])
    )


def ip(rng: random.Random) -> str:
    return (
        f"{rng.choice([10, 172, 192, 203, 8, 114])}.{rng.randint(0, 255)}.{rng.randint(0, 255)}.{rng.randint(1, 254)}"
    )


Maker = Callable[[random.Random], str]


def _spaced_id(rng: random.Random) -> str:
    value = id_card(rng)
    return rng.choice(
        [
            value,
            value,
            f"{value[:6]} {value[6:14]} {value[14:]}",
            f"{value[:6]}-{value[6:14]}-{value[14:]}",
            full_width(value),
            value.lower(),
        ]
    )


def _written_card(rng: random.Random) -> str:
    value = card(rng)
    return rng.choice(
        [value, value, grouped(value, 4, " "), grouped(value, 4, "-"), full_width(value), grouped(value, 4, "\u200b")]
    )


ZH_TEMPLATES: tuple[tuple[str, dict[str, Maker]], ...] = (
    ("我的手机号是{phone}", {"phone": mobile}), ("手机{phone}，麻烦回电", {"phone": mobile}), ("请打我电话{phone}吧，谢谢", {"phone": mobile}),
    ("座机：{phone}", {"phone": landline}), ("有事打办公室电话{phone}找我", {"phone": landline}), ("国外号码 {phone} 也可以", {"phone": abroad}),
    ("tel:{phone}", {"phone": mobile}), ("微信同号{phone}。", {"phone": mobile}), ("不是{phone}，是{phone}", {"phone": mobile}),
    ("邮箱{email}", {"email": email}), ("请把发票发到{email}，谢谢", {"email": email}), ("我的邮箱是{email}。", {"email": email}),
    ("身份证{id_card}", {"id_card": _spaced_id}), ("我的身份证号码是{id_card}，请核对", {"id_card": _spaced_id}), ("证件号：{id_card}（本人）", {"id_card": _spaced_id}),
    ("老身份证号{id_card}还能用吗", {"id_card": old_id_card}), ("卡号{bank_card}被锁了", {"bank_card": _written_card}), ("银行卡：{bank_card}，工商银行", {"bank_card": _written_card}),
    ("我转到了{bank_card}这张卡", {"bank_card": _written_card}), ("护照号{passport}", {"passport": zh_passport}), ("我的护照是{passport}，下月到期", {"passport": zh_passport}),
    ("我叫{name}", {"name": zh_name}), ("你好，我叫{name}，想查一下订单", {"name": zh_name}), ("姓名：{name}", {"name": zh_name}), ("收件人{name}，电话{phone}", {"name": zh_name, "phone": mobile}),
    ("联系人：{name} {phone}", {"name": zh_name, "phone": mobile}), ("请转告{name}先生", {"name": zh_name}), ("{name}女士您好", {"name": zh_name}), ("持卡人姓名{name}", {"name": zh_name}),
    ("我的名字是{name}。", {"name": zh_name}), ("开户人：{name}，卡号：{bank_card}", {"name": zh_name, "bank_card": _written_card}), ("住在{address}", {"address": zh_address}),
    ("地址：{address}", {"address": zh_address}), ("请寄到{address}，谢谢", {"address": zh_address}), ("收货地址改成{address}吧", {"address": zh_address}),
    ("我家在{address}，快递放门口", {"address": zh_address}), ("{address}，{name}收，{phone}", {"address": zh_address, "name": zh_name, "phone": mobile}),
    ("车牌{plate}停错了", {"plate": plate}), ("登录IP {ip} 是我本人吗", {"ip": ip}), ("汇款账号 {iban}", {"iban": iban}), ("我叫{name}，my email is {email}", {"name": zh_name, "email": email}),
    ("姓名{name}身份证{id_card}手机{phone}", {"name": zh_name, "id_card": id_card, "phone": mobile}),
)  # fmt: skip
EN_TEMPLATES: tuple[tuple[str, dict[str, Maker]], ...] = (
    ("call me at {phone}", {"phone": abroad}), ("My number is {phone}.", {"phone": abroad}), ("You can reach me on {phone} after 6 pm", {"phone": abroad}), ("phone: {phone}, thanks", {"phone": abroad}),
    ("Please text {phone} instead", {"phone": abroad}), ("my Chinese mobile is {phone}", {"phone": mobile}), ("email {email} please", {"email": email}), ("Send the receipt to {email}.", {"email": email}),
    ("contact: {email}", {"email": email}), ("my card {bank_card} was declined", {"bank_card": _written_card}), ("Card number: {bank_card}", {"bank_card": _written_card}), ("I paid with {bank_card} yesterday", {"bank_card": _written_card}),
    ("My passport number is {passport}", {"passport": en_passport}), ("passport {passport}", {"passport": en_passport}), ("Passport no. {passport}, expires in May", {"passport": en_passport}), ("My name is {name}", {"name": en_name}),
    ("my name is {name} and I lost my card", {"name": en_name}), ("Hello, this is Mr. {name} calling", {"name": en_name}), ("Name: {name}", {"name": en_name}), ("The recipient is {name}.", {"name": en_name}), ("Sender: {name}, {address}", {"name": en_name, "address": en_address}),
    ("Please ask Mrs {name} to call back", {"name": en_name}), ("Dr. {name} will see me", {"name": en_name}), ("Cardholder name: {name}", {"name": en_name}), ("I live at {address}.", {"address": en_address}), ("Ship it to {address}", {"address": en_address}),
    ("my address is {address}, thanks", {"address": en_address}), ("Deliver the parcel to {address} please", {"address": en_address}), ("{address} is my new address", {"address": en_address}), ("SSN {national_id}", {"national_id": ssn}), ("my social security number is {national_id}", {"national_id": ssn}),
    ("IBAN: {iban}", {"iban": iban}), ("Transfer it to {iban} today", {"iban": iban}), ("login from {ip} was not me", {"ip": ip}), ("my Chinese id is {id_card}", {"id_card": _spaced_id}), ("My name is {name}, phone {phone}, email {email}", {"name": en_name, "phone": abroad, "email": email}),
)  # fmt: skip


def _zh_negative(rng: random.Random) -> str:
    n = rng.randint
    return rng.choice(
        [
            f"订单号{n(10**15, 10**16 - 1)}什么时候发货", f"订单HF{n(10000, 99999)}到哪了", f"一共{n(10, 9999)}.{n(10, 99)}元", f"{n(2019, 2026)}年{n(1, 12)}月{n(1, 28)}日{n(0, 23)}点{n(0, 59)}分下单",
            f"时间戳{n(1600000000, 1799999999)}", f"时间戳是{n(1600000000000, 1799999999999)}毫秒", f"快递单号SF{n(10**12, 10**13 - 1)}", f"版本号{n(1, 9)}.{n(0, 20)}.{n(0, 99)}.{n(1, 9)}", f"温度是{n(-9, 39)}.{n(0, 9)}度",
            f"https://shop.example.com/item/{n(13000000000, 18999999999)}?ref={n(1000, 9999)}", f"这本书的ISBN是978-7-{n(100, 999)}-{n(10000, 99999)}-{n(0, 9)}", f"第{n(1, 99)}届运动会有{n(1000, 99999)}人参加", "七天无理由退货怎么申请", "请问客服几点下班",
            f"价格从¥{n(100, 999)}降到¥{n(10, 99)}", f"2026-0{n(1, 9)}-1{n(0, 9)} 1{n(0, 9)}:20:30 的订单", f"坐地铁{n(1, 20)}号线到第{n(1, 9)}站", f"这款手机有{n(64, 512)}GB内存和{n(4000, 6000)}毫安电池", "我是高中生，想办学生卡", "我是第一次来，不太会用",
            "先生您好，请问有什么可以帮您", "女士的鞋子在几楼", "联系人怎么修改", "收货地址可以改吗", "姓名填错了怎么办", "身份证丢了还能办卡吗", "银行卡密码忘了", f"优惠码{n(100000, 999999)}不能用", f"圆周率是3.1415926535897{n(10, 99)}",
            f"人口约{n(100, 999)}万，面积{n(1000, 9999)}平方公里", f"股票代码{n(600000, 603999)}涨了", f"余额还有{n(1000, 99999)}块", "北京市和上海市哪个更大", "我在广州市工作", f"跑了{n(1, 9)}公里路，用了{n(10, 59)}分钟", "中山路怎么走", f"参考编号：{n(10**17, 10**18 - 1)}x",
            f"文件大小{n(10**9, 10**10)}字节", f"房间{n(101, 999)}的空调坏了", "他们都叫我来问", "我叫了外卖还没到", "名字太长写不下", f"商品编号{n(10**12, 10**13 - 1)}缺货吗", f"{n(1, 9)}楼的洗手间在哪", f"比例是{n(1, 99)}:{n(1, 99)}", f"sha {n(10**7, 10**8):x}{n(10**7, 10**8):x}",
        ]
    )  # fmt: skip


def _en_negative(rng: random.Random) -> str:
    n = rng.randint
    return rng.choice(
        [
            f"order {n(10**15, 10**16 - 1)} has not arrived", f"Where is HF{n(10000, 99999)}?", f"It costs ${n(10, 9999)}.{n(10, 99)}", f"on {n(1, 28)} March {n(2019, 2026)} at {n(1, 12)}:{n(10, 59)} pm", f"timestamp {n(1600000000, 1799999999)}", f"epoch {n(1600000000000, 1799999999999)}",
            f"tracking number 1Z{n(10**9, 10**10)}", f"version {n(1, 9)}.{n(0, 20)}.{n(0, 99)}.{n(1, 9)} crashes", f"see https://example.com/p/{n(4155550000, 4159999999)}/view", f"ISBN 978-0-{n(100, 999)}-{n(10000, 99999)}-{n(0, 9)}", f"I walked {n(2, 20)} miles down the road", f"{n(5, 50)} minutes drive from the station",
            "I am waiting for my card", "This is really annoying", "My name is misspelled on the card", "Dear customer service, please help", "Mr is a title, is it not?", "How do I change my address?", "I'm new here", "Hi there, good morning", f"The temperature is {n(-9, 99)}.{n(0, 9)} degrees", f"pi is 3.14159265358{n(100, 999)}",
            f"room {n(101, 999)} needs cleaning", f"The {n(1, 20)}th Street project ended", f"flight BA{n(100, 999)} is late", f"{n(10, 99)}% off until Friday", f"npm install left-pad@{n(1, 9)}.{n(0, 9)}.{n(0, 9)}", "follow @holdfast on social media", f"score {n(1, 99)}-{n(1, 99)}", f"invoice 2026-{n(10, 99)}-{n(1000, 9999)}x is wrong",
            f"model XR-{n(1000, 9999)} is out of stock", f"{n(100, 999)},{n(100, 999)},{n(100, 999)} users signed up", "The passport office is closed", "my phone number changed, how do I update it", "Is my email correct?", f"chapter {n(1, 9)}.{n(1, 9)}.{n(1, 9)}.{n(1, 9)} explains it", f"commit {n(10**7, 10**8):x}{n(10**7, 10**8):x}", f"SKU {n(10**11, 10**12)}", f"a {n(2, 9)} bedroom place in town",
            f"It takes {n(3, 9)} to {n(10, 14)} days", "May I have a new card", "Will you call me back?", f"at {n(10, 23)}:{n(10, 59)}:{n(10, 59)}.{n(100, 999)}", f"ratio {n(1, 9)}:{n(1, 9)}", f"a file of {n(10**9, 10**10)} bytes", f"error code {n(10000000, 99999999)}", f"the years 1990-{n(1991, 2020)}", f"build 20{n(10, 26)}{n(10, 12)}{n(10, 28)}.{n(1, 9)}",
        ]
    )  # fmt: skip


def sentences(count: int, seed: int) -> Iterator[Sentence]:
    """As many as asked for, half of each language, half of them without any value."""
    rng = random.Random(seed)
    for number in range(count):
        language = "zh" if number % 2 else "en"
        if number % 4 < 2:
            templates = ZH_TEMPLATES if language == "zh" else EN_TEMPLATES
            yield _filled(rng, *rng.choice(templates), language)
        else:
            yield Sentence(_zh_negative(rng) if language == "zh" else _en_negative(rng), (), language)


def _filled(rng: random.Random, template: str, makers: dict[str, Maker], language: str) -> Sentence:
    text, spans = "", []
    rest = template
    while "{" in rest:
        before, _, rest = rest.partition("{")
        kind, _, rest = rest.partition("}")
        value = makers[kind](rng)
        text += before
        spans.append((len(text), len(text) + len(value), kind))
        text += value
    return Sentence(text + rest, tuple(spans), language)
