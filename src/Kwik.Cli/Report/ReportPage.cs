using System.Text;
using Kwik.Cli.Output;

namespace Kwik.Cli.Report;

/// <summary>One page about one run: no script, nothing from elsewhere, and nobody else's words but as letters.</summary>
internal static class ReportPage
{
    /// <summary>Colours that most people with colour blindness tell apart (Okabe and Ito); what comes after is dashed.</summary>
    private const int Colours = 7;

    public static string Write(RunRecord run)
    {
        var page = new HtmlText();
        page.Raw(Head);
        WriteSummary(page, run);
        ReportFigures.Write(page, run);
        WriteNotices(page, run);
        return page.Raw("</main></body></html>\n").ToString();
    }

    /// <summary>The class that colours a path.</summary>
    public static string ColourOf(int index) => $"c{index % Colours}{(index >= Colours ? " far" : "")}";

    /// <summary>The name of a path in legends: our words only.</summary>
    public static string NameOf(PathRecord path) => path.Id == 0 ? "primary" : $"path {path.Id}";

    public static string Time(double milliseconds) => milliseconds < 1000 ? $"{milliseconds:0.#} ms" : $"{milliseconds / 1000:0.00} s";

    private static void WriteSummary(HtmlText page, RunRecord run)
    {
        long received = run.Paths.Sum(path => path.Bytes);
        page.Raw("<header><h1>Kwik session</h1><p class=\"sub\">").Foreign(run.Role.Length > 0 ? run.Role : "?").Raw(" with ")
            .Foreign(run.Peer).Raw(", ").Foreign(run.Began).Raw("<br>session ").Foreign(run.Session).Raw("</p></header><main><dl class=\"cards\">");
        Card(page, "lasted", Time(run.End));
        if (received > 0 || run.Role == "client")
        {
            Card(page, "received", ByteSize.Format(received));
            Card(page, "mean rate", ByteSize.FormatRate(run.End > 0 ? received * 8000.0 / run.End : 0));
            Card(page, "came twice", ByteSize.Format(run.Duplicate));
        }

        if (run.Role != "client")
        {
            Card(page, "sent", ByteSize.Format(run.Sent));
        }

        if (run.Paths.Count > 0)
        {
            Card(page, "servers that sent", $"{run.Paths.Count(path => path.Bytes > 0)} of {run.Paths.Count}");
        }

        Card(page, "stalls", run.Stalls.Count == 0 ? "none" : $"{run.Stalls.Count}, longest {Time(run.Stalls.Max())}");
        page.Raw("</dl>");
        page.Raw("<p class=\"end\">Ended with: ").Foreign(run.Outcome ?? "the record ends before the session does", 300).Raw("</p>");
        if (run.IsTruncated || run.Dropped > 0)
        {
            page.Raw($"<p class=\"warn\">The record is not complete: {(run.Dropped > 0 ? $"{run.Dropped} events came too fast to be written" : "it ends early")}.</p>");
        }
    }

    private static void Card(HtmlText page, string name, string value) =>
        page.Raw($"<div><dt>{name}</dt><dd>{value}</dd></div>");

    private static void WriteNotices(HtmlText page, RunRecord run)
    {
        page.Raw("<section><h2>Events</h2><div class=\"wide\"><table><thead><tr><th class=\"n\">time</th><th>event</th><th class=\"n\">path</th>"
            + "<th class=\"n\">stream</th><th>what</th></tr></thead><tbody>");
        foreach (Notice notice in run.Notices)
        {
            // The names are those of the schema.
            page.Raw($"<tr><td class=\"n\">{notice.Time / 1000:0.000} s</td><td>{notice.Name.Replace('_', ' ')}</td><td class=\"n\">{notice.Path}</td>"
                + $"<td class=\"n\">{notice.Stream}</td><td class=\"text\">").Foreign(notice.Text, 300).Raw("</td></tr>");
        }

        page.Raw("</tbody></table></div>");
        if (run.NoticesLeftOut > 0)
        {
            page.Raw($"<p class=\"note\">{run.NoticesLeftOut} more are not shown.</p>");
        }

        page.Raw("</section>");
    }

    private const string Head = """
        <!DOCTYPE html>
        <html lang="en"><head><meta charset="utf-8">
        <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">
        <meta name="viewport" content="width=device-width, initial-scale=1"><meta name="referrer" content="no-referrer">
        <meta name="color-scheme" content="light dark"><title>Kwik session</title>
        <style>
        :root{--bg:#fff;--fg:#1b1f24;--dim:#59636e;--line:#d8dee4;--card:#f6f8fa;--warn:#9a3b00;
        --k0:#0072b2;--k1:#e69f00;--k2:#009e73;--k3:#cc79a7;--k4:#56b4e9;--k5:#d55e00;--k6:#7a6f00}
        @media(prefers-color-scheme:dark){:root{--bg:#0f1318;--fg:#e6eaef;--dim:#9aa5b1;--line:#2d343c;--card:#181e25;--warn:#ffb27a;
        --k0:#3fa2e0;--k1:#f0b429;--k2:#1fc79a;--k3:#e39bc4;--k4:#8fd0f7;--k5:#ff8640;--k6:#d8cb3c}}
        *{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--fg);font:15px/1.45 system-ui,sans-serif}
        header,main{max-width:900px;margin:0 auto;padding:0 16px}h1{margin:24px 0 4px;font-size:26px}h2{margin:0 0 2px;font-size:18px}
        .sub,.note,figcaption,.what{color:var(--dim)}.sub{margin:0 0 16px;overflow-wrap:anywhere}.note,.what{font-size:13px;margin:0 0 8px}
        .cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(128px,1fr));gap:8px;margin:0 0 12px}
        .cards div{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:8px 12px}
        dt{color:var(--dim);font-size:13px}dd{margin:0;font-size:17px;font-variant-numeric:tabular-nums}
        .end{overflow-wrap:anywhere}.warn{color:var(--warn)}section{margin:28px 0}figure{margin:0}.wide{overflow-x:auto}
        svg{display:block;width:100%;height:auto}svg text{fill:var(--dim);font-size:13px;font-family:inherit}
        .grid{stroke:var(--line);stroke-width:1;fill:none}.legend{display:flex;flex-wrap:wrap;gap:4px 16px;list-style:none;padding:0;margin:0 0 6px;font-size:13px}
        .legend li{display:flex;align-items:center;gap:6px;min-width:0;max-width:100%;white-space:nowrap}.legend bdi{overflow:hidden;text-overflow:ellipsis;color:var(--dim)}.legend i{flex:none;width:14px;height:10px;border-radius:2px;background:var(--k)}
        .c0{--k:var(--k0)}.c1{--k:var(--k1)}.c2{--k:var(--k2)}.c3{--k:var(--k3)}.c4{--k:var(--k4)}.c5{--k:var(--k5)}.c6{--k:var(--k6)}
        .stroke{fill:none;stroke:var(--k);stroke-width:2;stroke-linejoin:round}.piece{fill:none;stroke:var(--k);stroke-width:3}
        .area{fill:var(--k);fill-opacity:.25;stroke:var(--k);stroke-width:1.5}.far{stroke-dasharray:5 3}.fill{fill:var(--k)}
        .half{fill:var(--k);fill-opacity:.45}.faint{fill:var(--dim);fill-opacity:.3}.mark{stroke:var(--fg);stroke-width:1.5;stroke-dasharray:3 3;fill:none}
        .back{stroke:var(--dim);stroke-width:1.5;stroke-dasharray:1 3;fill:none}
        table{border-collapse:collapse;width:100%;font-size:13px;font-variant-numeric:tabular-nums}th{color:var(--dim);font-weight:600;text-align:left}
        th,td{padding:4px 10px 4px 0;border-bottom:1px solid var(--line);vertical-align:top}.n{text-align:right;white-space:nowrap}td{white-space:nowrap}
        td.text{white-space:normal;overflow-wrap:anywhere;min-width:220px}td i{display:inline-block;width:14px;height:10px;border-radius:2px;background:var(--k);margin-right:6px}
        @media(max-width:640px){svg text{font-size:22px}.piece{stroke-width:5}.stroke{stroke-width:3}}
        </style></head><body>

        """;
}
