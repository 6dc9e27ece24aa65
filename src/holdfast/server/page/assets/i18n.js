// The page's own words, in both languages. Answers are in the user's language, whatever the page speaks.
import { forLong } from "./memory.js";

const en = {
  htmlLanguage: "en",
  title: "Holdfast",
  newConversation: "New conversation",
  otherLanguage: "中文",
  otherLanguageCode: "zh-CN",
  switchLanguage: "切换到中文",
  toDark: "Use dark colours",
  toLight: "Use light colours",
  greeting: "How can I help?",
  greetingMore: "Ask about delivery, returns or your order. Answers show where they come from.",
  examplesLabel: "Example questions",
  examples: ["How long does delivery take?", "Within how many days can I return goods?", "Where is my order?"],
  conversationLabel: "Conversation",
  you: "You",
  assistant: "Assistant",
  earlier: "Show earlier messages",
  latest: "To the latest message",
  inputLabel: "Your message",
  inputHint: "Write a message",
  keysHint: "Enter sends, Shift + Enter starts a new line",
  busyHints: {
    queue: (control) => `Enter sends it after this answer, ${control} + Enter now`,
    interrupt: () => "Enter stops this answer and sends your message",
    reject: () => "You can send it when this answer is done, Esc stops the answer",
  },
  send: "Send",
  sendNow: "Send now",
  stop: "Stop",
  tooLong: (most) => `Too long: at most ${most} characters`,
  loading: "Loading the conversation",
  stages: {
    send: "Sending",
    waiting: "Waiting for an earlier message",
    understand: "Reading",
    decide: "Thinking",
    act: "Looking it up",
    search: "Searching the documents",
    tool: "Looking it up",
    model: "Writing",
    answer: "Writing",
  },
  stageOther: "Working",
  lost: "Connection lost. Reconnecting",
  restarted: { here: "The answer starts again", elsewhere: "The answer goes on elsewhere" },
  cancel: "Cancel",
  stopping: "Stopping",
  stopped: "Stopped",
  unanswered: "Not answered",
  notStopped: "The answer could not be stopped, and goes on.",
  approval: "Waiting for your approval",
  parked: (name) => (name ? `Waiting for a confirmation: ${name}` : "Waiting for a confirmation"),
  parkedUntil: (time) => `until ${time} at the latest`,
  approve: "Approve",
  decline: "Decline",
  told: "Passed on",
  notTold: "That could not be passed on.",
  tryAgain: "Try again",
  sources: "Sources",
  source: (number) => `Source ${number}`,
  page: (number) => `Page ${number}`,
  characters: (start, end) => `Characters ${start} to ${end}`,
  close: "Close",
  openDocument: "Open the document",
  passageLoading: "Loading the passage",
  passageMissing: "The passage cannot be shown now. This is the sentence that was quoted:",
  passageChanged: "The document has changed since. This is the sentence that was quoted:",
  answeredBy: (node) => `Answered by ${node}`,
  version: (number) => `version ${number}`,
  attempts: (number) => `${number} attempts`,
  modes: { extractive: "Quoted from the documents", model: "Written by a language model from the documents" },
  fallback: "Quoted from the documents: the language model did not answer",
  offline: "You are offline. The conversation goes on as soon as the connection is back.",
  missing: "This conversation is not here any more: it has expired or was deleted.",
  loadFailed: "The conversation could not be loaded.",
  keyNeeded: "This server asks for an access key.",
  keyLabel: "Access key",
  keyUse: "Use it",
  problems: {
    unreachable: "The server cannot be reached.",
    busy: "The server has too much to do, or cannot reach its store.",
    refused: "The server refused this message.",
    unauthorized: "The server asks for an access key.",
    failed: "There was no answer: something went wrong.",
  },
};

const zh = {
  htmlLanguage: "zh-CN",
  title: "Holdfast",
  newConversation: "新对话",
  otherLanguage: "English",
  otherLanguageCode: "en",
  switchLanguage: "Switch to English",
  toDark: "使用深色界面",
  toLight: "使用浅色界面",
  greeting: "有什么可以帮您？",
  greetingMore: "可以询问配送、退换货或订单。每个回答都会注明出处。",
  examplesLabel: "示例问题",
  examples: ["配送要多长时间？", "几天内可以退货？", "帮我查一下订单"],
  conversationLabel: "对话",
  you: "您",
  assistant: "助手",
  earlier: "显示更早的消息",
  latest: "回到最新消息",
  inputLabel: "您的消息",
  inputHint: "请输入消息",
  keysHint: "Enter 发送，Shift + Enter 换行",
  busyHints: {
    queue: (control) => `Enter 排队发送，${control} + Enter 立即发送`,
    interrupt: () => "Enter 停止当前回答并发送",
    reject: () => "回答结束后才能发送，Esc 停止当前回答",
  },
  send: "发送",
  sendNow: "立即发送",
  stop: "停止",
  tooLong: (most) => `内容过长，最多 ${most} 个字符`,
  loading: "正在加载对话",
  stages: {
    send: "正在发送",
    waiting: "正在等待上一条消息",
    understand: "正在阅读",
    decide: "正在思考",
    act: "正在查询",
    search: "正在查找文档",
    tool: "正在查询",
    model: "正在撰写",
    answer: "正在撰写",
  },
  stageOther: "正在处理",
  lost: "连接中断，正在重新连接",
  restarted: { here: "正在重新回答", elsewhere: "已转到另一台服务器继续回答" },
  cancel: "取消",
  stopping: "正在停止",
  stopped: "已停止",
  unanswered: "未作回答",
  notStopped: "未能停止，回答仍在继续。",
  approval: "正在等待您的同意",
  parked: (name) => (name ? `正在等待确认：${name}` : "正在等待确认"),
  parkedUntil: (time) => `最晚到 ${time}`,
  approve: "同意",
  decline: "拒绝",
  told: "已转达",
  notTold: "未能转达。",
  tryAgain: "重试",
  sources: "来源",
  source: (number) => `来源 ${number}`,
  page: (number) => `第 ${number} 页`,
  characters: (start, end) => `第 ${start} 至 ${end} 个字符`,
  close: "关闭",
  openDocument: "打开文档",
  passageLoading: "正在加载原文",
  passageMissing: "暂时无法显示原文。引用的句子是：",
  passageChanged: "文档在此之后有改动。引用的句子是：",
  answeredBy: (node) => `由 ${node} 回答`,
  version: (number) => `版本 ${number}`,
  attempts: (number) => `共尝试 ${number} 次`,
  modes: { extractive: "摘自文档原文", model: "由语言模型根据文档撰写" },
  fallback: "语言模型未能回答，以下摘自文档原文",
  offline: "网络已断开，恢复后对话会自动继续。",
  missing: "找不到这个对话：它可能已过期或被删除。",
  loadFailed: "对话加载失败。",
  keyNeeded: "此服务器需要访问密钥。",
  keyLabel: "访问密钥",
  keyUse: "使用",
  problems: {
    unreachable: "无法连接到服务器。",
    busy: "服务器繁忙，或无法访问存储。",
    refused: "服务器拒绝了这条消息。",
    unauthorized: "服务器需要访问密钥。",
    failed: "没有得到回答：服务器出错了。",
  },
};

const LANGUAGES = { en, zh };

/** The words of a language. */
export const textsOf = (language) => LANGUAGES[language];

/** What the user chose; else the browser's first language that the page speaks. */
export function preferredLanguage() {
  const chosen = forLong.recall("language");
  if (chosen in LANGUAGES) return chosen;
  const spoken = navigator.languages.map((tag) => tag.split("-")[0]).find((language) => language in LANGUAGES);
  return spoken ?? "en";
}

export function rememberLanguage(language) {
  forLong.keep("language", language);
}

/** What a text is written in, for fonts and screen readers. */
export function languageOf(text) {
  return /[\u3400-\u9fff]/.test(text) ? "zh-CN" : "en";
}

/** A point in time as short as it can be said: with its day only where that is not today. */
export function timeOf(milliseconds, texts) {
  const time = new Date(milliseconds);
  const day = time.toDateString() === new Date().toDateString() ? {} : { month: "short", day: "numeric" };
  return new Intl.DateTimeFormat(texts.htmlLanguage, { ...day, hour: "numeric", minute: "2-digit" }).format(time);
}

/** Why there was no answer, in the user's language; the server's own words come beside it. */
export function reasonOf(problem, texts) {
  const { problems } = texts;
  if (!problem.status) return problems.unreachable;
  if (problem.status === 401) return problems.unauthorized;
  if (problem.temporary) return problems.busy;
  return problem.isFinal && problem.status < 500 ? problems.refused : problems.failed;
}
