"""Surnames and given names, and characters that are in none."""

from __future__ import annotations

from typing import Final

SURNAMES: Final = frozenset(
    "赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨朱秦尤许何吕施张孔曹严华金魏陶姜戚谢邹喻柏水窦章云苏潘葛奚范彭郎鲁韦昌马苗凤花方俞任袁柳鲍史唐费廉岑薛雷贺倪汤"
    "滕殷罗毕郝邬安常乐于时傅皮卞齐康伍余元卜顾孟平黄穆萧肖尹姚邵湛汪祁毛禹狄米贝明臧计伏成戴谈宋茅庞熊纪舒屈项祝董梁杜阮蓝闵席季麻强贾路娄危江童颜"
    "郭梅盛林刁钟徐邱骆高夏蔡田樊胡凌霍虞万支柯管卢莫房裘缪解应宗丁宣邓郁单杭洪包诸左石崔吉龚程邢裴陆荣翁荀惠曲封储靳段富巫乌焦巴弓牧谷车侯宓蓬全郗"
    "班仰秋仲伊宫宁仇栾甘厉戎祖武符刘景詹龙叶幸司黎薄印宿白怀蒲台从鄂索咸赖卓蔺屠蒙池乔阴胥苍闻党翟谭贡劳姬申扶堵冉宰雍桑桂牛寿通边扈燕冀尚农温别庄"
    "晏柴瞿阎闫充慕连茹习艾鱼容向古易慎戈廖庾终居衡步都耿满弘匡国文寇广阙东欧沃利蔚越隆师巩聂晁敖冷辛阚那简饶曾沙鞠丰关查游竺权盖益桓公仝付代佟修候"
    "甄鹿信兰冼隋芮楚麦商牟佴墨哈谯由言岳帅海涂覃邝初苑佘展展邸仉宛欧原苟辜逄泮练晋"
)
COMPOUND: Final = (
    "欧阳|司马|上官|诸葛|东方|皇甫|尉迟|公孙|慕容|长孙|令狐|夏侯|司徒|司空|宇文|轩辕|钟离|闻人|申屠|呼延|端木|南宫|西门|独孤|百里|澹台|濮阳|淳于|单于|太史|"
    "公羊|宗政|赫连|公冶|仲孙|鲜于|闾丘|亓官|拓跋|谷梁|段干|左丘|东郭|南门|万俟"
)
GIVEN: Final = frozenset(
    "伟芳娜秀英敏静丽强磊军洋勇艳杰娟涛明超兰霞平刚桂华建国志文斌辉玲红玉萍莉鹏健波宁浩宇轩梓涵子欣怡诗雨佳思嘉俊晨阳博睿泽悦琪瑶雪梅婷慧琳云飞龙海峰林"
    "春秋冬夏晓小大永福贵生祥瑞德仁义礼智信忠孝诚恒毅坚成功业东南西北中天乐康安宝金银珠玥珊瑾瑜璐璇琴琼瑛珍珂珺菲菁萱蕾薇蓉莲荷菊兰芝芬芸茜苗若依伊"
    "一凡可心语馨彤丹彩虹燕凤凰鸾雁鹤麟翔翼腾跃帆航舟洲江河湖溪泉清源润泓淼沐沛澜灏洁淑贤惠良善美好妍嫣婉婧媛媚娇娴颖颜香芯艺之亦以忆义亿毅逸奕弈翊尧"
    "昊昕旭昱晖晗晟晴景智暖曦曼月朗胜旺望新星晶辰宏弘鸿洪红虎彪豪家佳加嘉坤乾震艮巽离兑立力历丽莉利励正政振镇真珍贞祯桢树森林松柏楠桐梓杨柳桃李杏果栋梁"
    "材权柱根本朴朝潮超卓茂荣光广亮耀辉煌灿烨炜炎焱煜熙然焕烁钢铁铭锋锐钧钰锦鑫锡银镜学书画诗琴棋墨翰文章斯思想念恩慈爱情怀悦愉快乐欢喜庆贺维卫为伟玮"
    "韦唯惟威巍魏士世仕市石时实诗师施少绍韶邵社申深慎胤印英盈莹颖映永咏勇友有佑右幼又于余予雨羽宇语玉育裕豫元园圆远媛源苑渊岳悦月越跃云芸运允韵泽哲者"
    "芷止志治致智稚中忠钟众竹筑柱祝著壮卓子紫梓自宗总祖作佐左民敏闽名茗铭鸣明木牧沐慕穆娜乃南楠囡男念宁凝诺女培佩沛蓬朋鹏品平萍屏苹凭普其奇琪琦祺齐启起"
    "气千谦倩强巧琴勤青清晴情琼秋求全泉权群然冉让仁任蓉荣容融如茹汝儒瑞锐睿润若三森山善上尚胜圣盛守寿舒淑双爽顺朔硕丝斯四松苏素岁穗孙泰涛桃陶特腾天田恬"
    "甜铁廷庭婷通同彤童统万汪旺望维炜文雯闻稳汶武舞希西夕惜熙曦习喜霞先贤显宪献祥翔向象萧小晓笑孝校心欣新馨信兴星行杏雄秀旭轩宣萱璇选学雪勋寻迅亚雅延岩"
    "妍言炎彦艳燕阳扬洋仰耀业叶晔一伊依宜怡仪怿益谊艺议奇锐敬京晶景静镜竞炯久菊举娟卷军君俊峻凯恺楷康科可克坤昆阔来兰岚蓝澜朗乐雷蕾磊冷黎理礼力立丽"
    "国保宝葆北贝蓓本碧斌滨冰兵炳波博勃才财彩灿昌常超朝辰晨成诚承城程澄驰池崇川传春纯慈聪翠达大代丹道得德登迪典殿定东冬栋读端敦多恩尔发帆凡繁方芳飞菲"
    "芬丰峰锋风枫凤夫福抚辅甫富刚钢岗高歌革耿庚功恭巩冠光广贵桂国海涵含函寒汉翰昊浩皓合和河荷鹤恒衡红宏弘虹鸿厚虎花华怀欢焕辉晖慧惠会火吉季佳家嘉"
    "畅彬昶劲励卉喆垚堃墅妙姗姝娅婵宸崧巍帜彰影徽恺悠惟懿战承拓攀敦旋昀昂昭晏晔曜朵柔桦梧棠楷榕樱汐汕沁沅泊洵浠涓涵淇淘湛湘溢滢漪潼澄澍灵炳烜煦熠燊爽牧珈珊珞琛琬琰瑄瑶璋璟璨甄畅皎帅"
    "盼睿瞳砚祎禾稷稼竣笛筠箐纯绮绪缘耘聿聪胤舒艾芊芙茉荃荔莎莺萌葳蔓蔚蕊蕙薪藜衍裕誉诗谦豪赫超辛迎迪逍逵逸遥邦郁酉野钊铄铎锴镕闯阅阔隽雁霄霏霁霆青靓靖韬颂颢飒馥骁骏骞魁鸣鹭麒黛默"
    "坚建健剑江姣娇杰洁捷金津锦进晋婧净婕妮仔煊霖"
)
"""Characters of given names."""
NEVER: Final = frozenset(
    "的了是我你他她您它们这那哪有没不也都就还很再又被把给让从向对吗呢吧啊呀哦嗯请问说话打电手机号码身份证址邮箱箱查退换货订单快递收件寄送付款钱卡买卖用户客服务"
    "现已经被因所但或与及什么怎吃喝去做叫住办开取报账存转汇贷借还帮要需能够下里外内后前间年月日时分点位先女性别岁名姓称"
)
"""Characters of no given name, or hardly any: what follows a name in a sentence."""

FIRST_NAMES: Final = frozenset(
    (
        "james john robert michael william david richard joseph thomas charles christopher daniel matthew anthony mark donald steven "
        "paul andrew joshua kenneth kevin brian george edward ronald timothy jason jeffrey ryan jacob gary nicholas eric jonathan "
        "stephen larry justin scott brandon benjamin samuel gregory frank alexander raymond patrick jack dennis jerry tyler aaron "
        "jose adam henry nathan douglas zachary peter kyle walter ethan jeremy harold keith roger noah gerald carl terry "
        "sean austin arthur lawrence jesse dylan bryan joe jordan billy bruce albert willie gabriel logan alan juan wayne roy ralph "
        "randy eugene vincent russell elijah louis bobby philip johnny mary patricia jennifer linda elizabeth barbara susan jessica "
        "sarah karen nancy lisa betty margaret sandra ashley kimberly emily donna michelle carol amanda dorothy melissa deborah "
        "stephanie rebecca sharon laura cynthia kathleen amy angela shirley anna brenda pamela emma nicole helen samantha katherine "
        "christine debra rachel carolyn janet catherine maria heather diane ruth julie olivia joyce virginia victoria kelly lauren "
        "christina joan evelyn judith megan andrea cheryl hannah jacqueline martha gloria teresa ann sara madison frances kathryn "
        "janice jean abigail alice julia judy sophia grace denise amber doris marilyn danielle beverly isabella theresa diana natalie "
        "brittany charlotte marie kayla alexis lori jane oliver harry charlie oscar leo archie theo freddie alfie isla ava mia lily "
        "poppy ella ivy sophie ellie lucy chloe daisy freya phoebe liam lucas mason logan owen wyatt carter luke isaac hudson levi "
        "ezra aiden cameron connor evan ian adrian xavier jaxon hunter colin simon graham neil stuart derek nigel trevor gareth ben "
        "tom tim jim bob bill mike dave steve chris matt dan nick alex sam max joe ken ron don fred ted ray greg jeff kate katie beth "
        "jenny jess becky liz sue meg kim tina tracy wendy holly claire zoe naomi leah nina eva irene vera nora rosa carmen elena "
        "sofia lucia ana carlos luis miguel antonio jorge pedro diego javier fernando ricardo eduardo mohammed muhammad ahmed ali omar "
        "hassan fatima aisha priya raj amit anita ravi sanjay arjun neha wei ming li mei hiroshi yuki kenji sakura"
    ).split()
)
LAST_NAMES: Final = frozenset(
    (
        "smith johnson williams brown jones garcia miller davis rodriguez martinez hernandez lopez gonzalez wilson anderson thomas taylor "
        "moore jackson martin lee perez thompson white harris sanchez clark ramirez lewis robinson walker young allen king wright scott "
        "torres nguyen hill flores green adams nelson baker hall rivera campbell mitchell carter roberts gomez phillips evans turner diaz "
        "parker cruz edwards collins reyes stewart morris morales murphy cook rogers gutierrez ortiz morgan cooper peterson bailey reed "
        "kelly howard ramos kim cox ward richardson watson brooks chavez wood james bennett gray mendoza ruiz hughes price alvarez "
        "castillo sanders patel myers long ross foster jimenez powell jenkins perry russell sullivan bell coleman butler henderson barnes "
        "fisher vasquez simmons romero jordan patterson alexander hamilton graham reynolds griffin wallace west cole hayes chen zhang "
        "wang li liu yang huang zhao wu zhou khan singh kumar shah doe"
    ).split()
)
NO_NAMES: Final = frozenset(
    (
        "the a an and or but not no yes ok okay is are was were be been am i you he she it we they my your his her our their this that "
        "these those there here who what when where why how which very so too just really also still already now then today tomorrow "
        "sorry happy glad sure fine good great well going trying looking calling writing having using getting waiting interested afraid "
        "unable able new old in on at to for of with from by about as if than into over under after before please thank thanks hello hi "
        "hey dear sir madam mr mrs ms miss dr prof customer service support team agent bank account card order number phone email address "
        "name password monday tuesday wednesday thursday friday saturday sunday january february march april may june july august "
        "september october november december english chinese american british french german spanish indian canadian all any some none "
        "can could will would shall should may might must do does did have has had get got need want like know think see currently "
        "simply asking locked stuck having being doing one two three first second last next new online mobile visa mastercard apple google "
        "street road avenue city state university college company inc ltd corp president king queen prince professor doctor god lord"
    ).split()
)
"""Words that follow "I am" or "this is" and are no name."""
