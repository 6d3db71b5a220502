"""The texts of verdicts, one table a language; the names of the fields say what each is for."""

from collections.abc import Mapping
from dataclasses import dataclass

from serve.experiments.findings import Language, VerdictKind


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of one language; names in braces are filled in."""

    openings: Mapping[VerdictKind, str]
    change: str
    ratio: str
    difference: str
    points: str
    unknown: str
    nothing: str
    failures: str
    harms: Mapping[str, str]
    pausing: str
    shares: str
    crossed: str
    incomplete: str
    early: str
    unsteady: str
    agreement: str
    wins: str
    won_more: str
    cost: str
    latency: str
    memory: str
    cpu: str
    money: str
    sample: str
    waiting: str
    days: str
    no_traffic: str
    fulfilled: str
    no_metrics: str
    separator: str
    space: str


TEXTS: Mapping[Language, Texts] = {
    "en": Texts(
        openings={
            "invalid": "Invalid: nothing can be concluded from this experiment.",
            "harmful": "{candidate} is harmful.",
            "better": "{candidate} is better than {control}.",
            "worse": "{candidate} is worse than {control}.",
            "equivalent": "{candidate} and {control} are equivalent: they differ by less than the margin.",
            "undecided": "Undecided between {candidate} and {control}.",
        },
        change="{metric} is {value} with {candidate} and {before} with {control}",
        ratio=": {effect} times as high ({level} interval {low} to {high}).",
        difference=": a difference of {effect} ({level} interval {low} to {high}).",
        points="{value} points",
        unknown="; too few outcomes, or too like ones, for an interval.",
        nothing="No outcome of {metric} is known yet.",
        failures="the rate of failures of {metric}",
        harms={
            "error_rate": "The error rate of {candidate} is {value}, the control's {before}; "
            "{margin} more are tolerated.",
            "latency": "The latency of {candidate} ({quantile}) is {value}, the control's {before}; "
            "{margin} more are tolerated.",
            "nan": "{candidate} answers NaN to {value}, the control to {before}; {margin} are tolerated.",
            "prediction_shift": "The share of a class that {candidate} predicts moved by {value}; "
            "{margin} are tolerated.",
            "disagreement": "{candidate} disagrees with the control on {value} of requests; "
            "{margin} are tolerated.",
        },
        pausing="A signal that pauses was seen:",
        shares="The variants were met by unlike numbers of units, {units}: units are lost or "
        "assigned wrongly on the way.",
        crossed="{units} units met more than one variant: their identity is not stable.",
        incomplete="Outcomes of {metrics} arrive for unlike shares of units, so this comparison may mislead.",
        early="{count} outcomes of {metric} do not count: they happened before their units met the "
        "experiment, or a clock is behind.",
        unsteady="The effect on {metric} changes over time.",
        agreement="In shadow {candidate} answers {share} of {units} requests as {control} does "
        "({level} interval {low} to {high}).",
        wins="Of those with a known answer, only {candidate} is right on {won}, only {control} on {lost}"
        "{more}.",
        won_more=": {effect} times as often ({level} interval {low} to {high})",
        cost="Beside it: {costs}.",
        latency="latency ({quantile}) {value} instead of {before}",
        memory="memory {value} instead of {before}",
        cpu="{value} instead of {before} CPU seconds of runs per thousand requests",
        money="{value} instead of {before} per million requests at the set price",
        sample="Known from {units} units, {share} of the plan.",
        waiting="{units} more still wait for their outcome.",
        days="About {days} to go at today's traffic.",
        no_traffic="No traffic today, so the end cannot be foreseen.",
        fulfilled="The planned units are reached: an effect smaller than the plan can show may remain.",
        no_metrics="No metric is defined, so only guardrails are watched.",
        separator=", ",
        space=" ",
    ),
    "ja": Texts(
        openings={
            "invalid": "無効：この実験からは何も結論できません。",
            "harmful": "{candidate} は有害です。",
            "better": "{candidate} は {control} より優れています。",
            "worse": "{candidate} は {control} より劣っています。",
            "equivalent": "{candidate} と {control} は同等です（差は設定した許容幅の内側）。",
            "undecided": "{candidate} と {control} の優劣はまだ判定できません。",
        },
        change="{metric} は {candidate} で {value}、{control} で {before}",
        ratio="（{effect} 倍、{level} 信頼区間 {low}～{high}）。",
        difference="（差 {effect}、{level} 信頼区間 {low}～{high}）。",
        points="{value} ポイント",
        unknown="（結果が少ないか一様なため、区間を示せません）。",
        nothing="{metric} の結果はまだありません。",
        failures="{metric} の失敗率",
        harms={
            "error_rate": "{candidate} のエラー率は {value}、対照は {before} です"
            "（許容は {margin} 増まで）。",
            "latency": "{candidate} のレイテンシ（{quantile}）は {value}、対照は {before} です"
            "（許容は {margin} 増まで）。",
            "nan": "{candidate} が NaN を返した割合は {value}、対照は {before} です"
            "（許容は {margin} まで）。",
            "prediction_shift": "{candidate} の予測クラスの割合が {value} 変化しました"
            "（許容は {margin} まで）。",
            "disagreement": "リクエストの {value} で {candidate} と対照の予測が異なります"
            "（許容は {margin} まで）。",
        },
        pausing="一時停止の対象となる警告が出ています：",
        shares="各群のユニット数（{units}）は、均等であるべき割り当てから外れています。"
        "途中でユニットが失われているか、誤って割り当てられています。",
        crossed="{units} ユニットが複数の群に現れました。ユニットの識別が安定していません。",
        incomplete="{metrics} の結果が届く割合が群によって異なるため、この比較は偏っているおそれがあります。",
        early="{metric} の結果 {count} 件は集計外です。"
        "ユニットが実験に入る前に起きたか、時計が遅れています。",
        unsteady="{metric} への効果は時間とともに変化しています。",
        agreement="シャドーでは {candidate} は {units} リクエストの {share} で {control} と同じ答えです"
        "（{level} 信頼区間 {low}～{high}）。",
        wins="正解が判明したもののうち、{candidate} だけが正解 {won} 件、"
        "{control} だけが正解 {lost} 件です{more}。",
        won_more="（{effect} 倍、{level} 信頼区間 {low}～{high}）",
        cost="コスト：{costs}。",
        latency="レイテンシ（{quantile}）{before} → {value}",
        memory="メモリー {before} → {value}",
        cpu="1000 リクエストあたりの実行の CPU 秒 {before} → {value}",
        money="100 万リクエストあたりの費用（設定単価）{before} → {value}",
        sample="{units} ユニットの結果に基づきます（計画の {share}）。",
        waiting="さらに {units} ユニットが結果待ちです。",
        days="現在のトラフィックであと約 {days}です。",
        no_traffic="現在トラフィックがないため、終了時期を予測できません。",
        fulfilled="計画数に達しました。計画で検出できる大きさに満たない効果は残りえます。",
        no_metrics="指標が定義されていないため、ガードレールのみを監視しています。",
        separator="、",
        space="",
    ),
}
