"""What the assistant says of itself, in each language, and how a template is filled."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from holdfast.config import Language
from holdfast.errors import ConfigError

BUILT_IN: Final[Mapping[Language, Mapping[str, str]]] = {
    "zh": {
        "greeting": "您好！您可以直接提问，也可以办理：{tasks}。",
        "greeting_plain": "您好！有什么可以帮您？",
        "thanks": "不客气。还有其他问题随时告诉我。",
        "ready": "好的，还有什么可以帮您？",
        "cancelled": "好的，已取消“{title}”。还有什么可以帮您？",
        "nothing_to_cancel": "现在没有正在办理的事项。还有什么可以帮您？",
        "done_already": "“{title}”已经办好了，这里不能再改。您可以重新办理，或联系人工客服。",
        "gave_up": "多次没有核对成功，“{title}”先到这里。您可以稍后重新开始，或联系人工客服。",
        "invalid": "这个内容好像不对。",
        "which_time": "{day} 几点？",
        "return": "回到“{title}”:",
        "no_other": "没有其他可选的了。",
        "tool_failed": "抱歉，“{title}”暂时没有办成，系统没有响应。已填的信息都还在。",
        "retry": "要再试一次吗？",
        "agree": "确认办理“{title}”吗？{details}",
        "flow_failed": "抱歉，“{title}”出了问题，已经停下。您可以换个说法，或联系人工客服。",
        "nothing_found": "抱歉，资料里没有找到相关内容。换个说法试试？",
        "unclear": "抱歉，我没有听懂。",
        "knowledge_failed": "抱歉，现在查不了资料，请稍后再试。",
        "quoting": "（未配置语言模型，以下是资料原文）",
        "model_failed": "（语言模型没有给出回答：{reason}。以下是资料原文）",
        "model_broke_off": "（语言模型的回答在这里中断：{reason}。以下是资料原文）",
        "reason_timeout": "超时",
        "reason_unreachable": "连接失败",
        "reason_refused": "服务拒绝了请求",
        "reason_garbled": "内容无法识别",
        "reason_cut_off": "没有说完",
        "reason_empty": "没有内容",
        "reason_budget": "额度已用完",
        "model_budget": "（智能回答的额度暂时用完了，以下是资料原文）",
        "agent_ask": "我准备执行：{title}{arguments}\n\n可以吗？",
        "agent_declined": "好的，没有执行：{title}。",
        "agent_done": "已执行：{title}。",
        "agent_not_done": "抱歉，没有办成：{title}。",
        "agent_failed": "抱歉，我现在没法回答（{reason}）。请稍后再试。",
        "agent_broke_off": "（回答在这里中断：{reason}）",
        "agent_out_of_rounds": "抱歉，这件事我没能全部办完，先到这里。您可以换个说法，或把它拆成几步再问我。",
        "turn_failed": "抱歉，这条消息多次处理都没有成功。请换个说法再发一次，或联系人工客服。",
        "handed_over": "好的，已为您转接人工客服。请稍候，接下来由人工在这里为您回复。",
        "handover_full": "抱歉，现在排队等候人工的人较多，暂时无法转接。您可以稍后再试，或者继续问我。",
        "handover_ended": "人工服务已结束，接下来由智能助手为您服务。",
        "only_text": "抱歉，目前只能看懂文字消息。请用文字再说一遍。",
        "list_separator": "、",
        "quote": "“{quote}”",
    },
    "en": {
        "greeting": "Hello! Ask me anything, or let me help you with: {tasks}.",
        "greeting_plain": "Hello! How can I help?",
        "thanks": "You're welcome. Tell me if there is anything else.",
        "ready": "All right. How else can I help?",
        "cancelled": "All right, {title} is cancelled. Can I help with anything else?",
        "nothing_to_cancel": "There is nothing to cancel at the moment. Can I help with anything else?",
        "done_already": "The {title} is done already, I cannot change it. You could start it anew, or talk to our staff.",
        "gave_up": "That did not work several times, so I have to stop {title} here. Please try again later, or talk to our staff.",
        "invalid": "That does not look right.",
        "which_time": "{day}: at what time?",
        "return": "Back to {title}:",
        "no_other": "There is no other one.",
        "tool_failed": "Sorry, {title} did not work just now: the system gave no answer. What you told me is kept.",
        "retry": "Shall I try again?",
        "agree": "Shall I go ahead with {title}?{details}",
        "flow_failed": "Sorry, something is wrong with {title}: I have stopped it. Please put it differently, or ask our staff.",
        "nothing_found": "Sorry, I found nothing relevant in the documents. Could you put it differently?",
        "unclear": "Sorry, I did not understand that.",
        "knowledge_failed": "Sorry, the documents cannot be searched at the moment. Please try again later.",
        "quoting": "(No language model is configured; these are the documents' own words)",
        "model_failed": "(The language model gave no answer: {reason}. These are the documents' own words)",
        "model_broke_off": "(The language model's answer ends here: {reason}. These are the documents' own words)",
        "reason_timeout": "it took too long",
        "reason_unreachable": "it could not be reached",
        "reason_refused": "it refused the request",
        "reason_garbled": "it sent nothing readable",
        "reason_cut_off": "it was cut off",
        "reason_empty": "it said nothing",
        "reason_budget": "its budget is spent",
        "model_budget": "(The budget for written answers is spent for now; these are the documents' own words)",
        "agent_ask": "I would do this now: {title}{arguments}\n\nShall I go ahead?",
        "agent_declined": "All right, I have not done it: {title}.",
        "agent_done": "Done: {title}.",
        "agent_not_done": "Sorry, that did not work: {title}.",
        "agent_failed": "Sorry, I cannot answer at the moment ({reason}). Please try again later.",
        "agent_broke_off": "(The answer ends here: {reason})",
        "agent_out_of_rounds": "Sorry, I could not finish all of this. Please put it differently, or ask for one step at a time.",
        "turn_failed": "Sorry, this could not be answered after several attempts. Please send it again, or talk to our staff.",
        "handed_over": "All right, I am passing you on to a person, who will answer you here.",
        "handover_full": "Sorry, too many people are waiting for our staff just now. Please try again later, or go on with me.",
        "handover_ended": "You are talking to the assistant again.",
        "only_text": "Sorry, I can only read text. Could you put it into words?",
        "list_separator": ", ",
        "quote": "“{quote}”",
    },
}
_PLACE: Final = re.compile(r"\{([A-Za-z_][\w.]*)\}")


class Texts:
    """The built-in texts with the config's in their place. Raises `ConfigError` for a name that is not one of them."""

    def __init__(self, replaced: Mapping[Language, Mapping[str, str]]) -> None:
        self._texts = {language: dict(texts) for language, texts in BUILT_IN.items()}
        for language, texts in replaced.items():
            for name, text in texts.items():
                if name not in BUILT_IN[language]:
                    near = difflib.get_close_matches(name, BUILT_IN[language], n=1, cutoff=0.5)
                    hint = (
                        f"; did you mean {near[0]!r}?"
                        if near
                        else f"; there are: {', '.join(sorted(BUILT_IN[language]))}"
                    )
                    raise ConfigError(f"assistant.texts.{language}.{name} is not a text{hint}")
                self._texts[language][name] = text

    def get(self, name: str, language: Language, values: Mapping[str, Any] | None = None) -> str:
        """A built-in text, filled."""
        return filled(self._texts[language][name], values or {}, language)

    def listed(self, items: Sequence[str], language: Language) -> str:
        """``a, b``."""
        return self._texts[language]["list_separator"].join(items)


def filled(template: str, values: Mapping[str, Any], language: Language) -> str:
    """The template with ``{name}`` and ``{name.key}`` replaced; a value that is missing shows as ``–``.

    A value with a text for each language (``{"zh": ..., "en": ...}``) is shown in this one. Values are never templates.
    """

    def value(place: re.Match[str]) -> str:
        found: Any = values
        for key in place[1].split("."):
            found = in_language(found.get(key) if isinstance(found, Mapping) else None, language)
        return "–" if found is None or found == "" else str(found)

    return _PLACE.sub(value, template)


def in_language(value: Any, language: Language) -> Any:
    """The text of this language where the value is a text in each; else the value."""
    return value[language] if isinstance(value, Mapping) and language in value else value
