using System.Text;
using Kwik.Cli.Output;

namespace Kwik.Cli.Report;

/// <summary>The drawings of a report.</summary>
internal static class ReportFigures
{
    /// <summary>Points of a line: about as many as there are on a screen.</summary>
    private const int Points = 160;

    private const int RowHeight = 30;

    public static void Write(HtmlText page, RunRecord run)
    {
        IReadOnlyList<PathRecord> paths = run.Paths;
        if (paths.Count == 0)
        {
            return;
        }

        if (run.BytesOf.Count > 0)
        {
            WriteOffsets(page, run, paths);
            WriteRates(page, run, paths);
        }

        WriteBuffer(page, run);
        WriteShares(page, paths);
        WriteSequence(page, run, paths);
    }

    private static void WriteOffsets(HtmlText page, RunRecord run, IReadOnlyList<PathRecord> paths)
    {
        long stream = run.BytesOf.MaxBy(pair => pair.Value).Key;
        List<Receipt> receipts = [.. run.Receipts.Where(receipt => receipt.Stream == stream)];
        double highest = Math.Max(
            run.LengthOf.GetValueOrDefault(stream), receipts.Count == 0 ? 1 : receipts.Max(receipt => receipt.Offset + receipt.Length));
        var chart = new Chart("Offsets over time", 300, run.End, highest, Chart.Ticks(highest, Bytes, isBinary: true));
        for (int i = 0; i < paths.Count; i++)
        {
            var data = new StringBuilder();
            foreach (Receipt receipt in receipts.Where(receipt => receipt.Path == paths[i].Id))
            {
                double bottom = chart.Y(receipt.Offset);
                // What is less than a dot is seen all the same.
                double top = Math.Min(chart.Y(receipt.Offset + receipt.Length), bottom - 1);
                data.Append($"M{Chart.N(chart.X(receipt.Time))} {Chart.N(bottom)}V{Chart.N(top)}");
            }

            if (data.Length > 0)
            {
                chart.Path($"piece {ReportPage.ColourOf(i)}", data.ToString());
            }
        }

        Begin(page, "Offsets over time", $"Which server brought which bytes of stream {stream}, and when."
            + (run.BytesOf.Count > 1 ? $" {run.BytesOf.Count - 1} other streams are not drawn." : "")
            + (run.Stride > 1 ? $" One piece in {run.Stride} is drawn." : ""));
        Legend(page, paths);
        End(page, chart);
    }

    private static void WriteRates(HtmlText page, RunRecord run, IReadOnlyList<PathRecord> paths)
    {
        List<double[]> rates = [];
        double width = 1;
        foreach (PathRecord path in paths)
        {
            // Half as many: what a leaf at a time brings looks like nothing but peaks otherwise.
            rates.Add(path.Received.Take(run.End, Points / 2, out width));
        }

        // Bytes of an interval to Mbit/s.
        rates = rates.ConvertAll(values => Array.ConvertAll(values, bytes => bytes * 8 / (width * 1000)));
        double highest = Math.Max(rates.Max(values => values.DefaultIfEmpty().Max()), 0.001);
        var chart = new Chart("Rate of each path", 200, run.End, highest, Chart.Ticks(highest, value => $"{value:0.###}"));
        for (int i = 0; i < paths.Count; i++)
        {
            chart.Line($"stroke {ReportPage.ColourOf(i)}", rates[i], width, isArea: false);
        }

        foreach (Notice notice in run.Notices)
        {
            switch (notice.Name)
            {
                case "path_ended" or "stall_started" or "source_given_up":
                    chart.Mark(notice.Time, "mark", $"{ReportPage.Time(notice.Time)}: {notice.Name.Replace('_', ' ')} {notice.Path}");
                    break;
                case "source_back" or "stall_ended":
                    chart.Mark(notice.Time, "back", $"{ReportPage.Time(notice.Time)}: {notice.Name.Replace('_', ' ')} {notice.Path}");
                    break;
            }
        }

        Begin(page, "Rate of each path", $"Mbit/s, mean of {ReportPage.Time(width)}. Dashed: a path ended, was given up, or the reader began to wait. Dotted: "
            + "it was there again, or went on.");
        Legend(page, paths);
        End(page, chart);
    }

    private static void WriteBuffer(HtmlText page, RunRecord run)
    {
        double[] pending = run.Pending.Take(run.End, Points, out double width);
        double highest = Math.Max(pending.Max(), 1);
        Begin(page, "Buffered bytes", "Bytes ahead of the readers of all streams: here, or asked for and on their way.");
        End(page, new Chart("Buffered bytes", 120, run.End, highest, Chart.Ticks(highest, Bytes, isBinary: true))
            .Line("area c0", pending, width, isArea: true));

        double[] ages = run.HoleAge.Take(run.End, Points, out width);
        highest = Math.Max(ages.Max(), 1);
        Begin(page, "Age of the first hole", "For how many milliseconds the first missing byte has been missing; the oldest of all streams.");
        End(page, new Chart("Age of the first hole", 120, run.End, highest, Chart.Ticks(highest, value => $"{value:0.#}"))
            .Line("area c5", ages, width, isArea: true));
    }

    private static void WriteShares(HtmlText page, IReadOnlyList<PathRecord> paths)
    {
        double all = Math.Max(1, paths.Sum(path => (double)path.Bytes));
        page.Raw("<section><h2>Share of each source</h2><p class=\"what\">Payload, with what came twice.</p>"
            + $"<figure><svg viewBox=\"0 0 {Chart.Width} 34\" role=\"img\" aria-label=\"Share of each source\">");
        double x = 0;
        for (int i = 0; i < paths.Count; i++)
        {
            double share = paths[i].Bytes / all;
            page.Raw($"<rect class=\"fill {ReportPage.ColourOf(i)}\" x=\"{Chart.N(x)}\" y=\"4\" height=\"26\" width=\"{Chart.N(share * Chart.Width)}\">"
                + $"<title>{ReportPage.NameOf(paths[i])}: {share * 100:0.0} %</title></rect>");
            x += share * Chart.Width;
        }

        page.Raw("</svg></figure><div class=\"wide\"><table><thead><tr><th>source</th><th>address</th><th class=\"n\">bytes</th>"
            + "<th class=\"n\">share</th><th class=\"n\">round trip</th><th>last state</th></tr></thead><tbody>");
        for (int i = 0; i < paths.Count; i++)
        {
            PathRecord path = paths[i];
            page.Raw($"<tr><td class=\"{ReportPage.ColourOf(i)}\"><i></i>{ReportPage.NameOf(path)}</td><td>").Foreign(path.Address)
                .Raw($"</td><td class=\"n\">{ByteSize.Format(path.Bytes)}</td><td class=\"n\">{path.Bytes / all * 100:0.0} %</td><td class=\"n\">"
                    + $"{(path.RoundTrip is { } roundTrip ? $"{roundTrip:0.##} ms" : "")}</td><td>")
                .Foreign(path.States.Count > 0 ? path.States[^1].State : "")
                .Raw(path.Attempts > 0 ? $", tried again {path.Attempts} {(path.Attempts == 1 ? "time" : "times")}" : "").Raw("</td></tr>");
        }

        page.Raw("</tbody></table></div></section>");
    }

    private static void WriteSequence(HtmlText page, RunRecord run, IReadOnlyList<PathRecord> paths)
    {
        var chart = new Chart("Sequence of primary and secondaries", RowHeight * paths.Count, run.End, null, []);
        for (int i = 0; i < paths.Count; i++)
        {
            double top = Chart.Top + (i * RowHeight) + 4;
            chart.Label(Chart.Left - 8, top + 16, ReportPage.NameOf(paths[i]));
            for (int change = 0; change < paths[i].States.Count; change++)
            {
                (double from, string state) = paths[i].States[change];
                double to = change + 1 < paths[i].States.Count ? paths[i].States[change + 1].Time : run.End;
                // Its name is put on the page by us, or not at all.
                (string style, string name) = state switch
                {
                    "Active" => ($"fill {ReportPage.ColourOf(i)}", "active"),
                    "Degraded" => ($"half {ReportPage.ColourOf(i)}", "degraded"),
                    "Connecting" => ("faint", "connecting"),
                    "Dead" => ("faint", "dead"),
                    "Recovering" => ("faint", "recovering"),
                    _ => ("", ""),
                };
                if (name.Length > 0 && to > from)
                {
                    chart.Box(style, from, to, top, RowHeight - 8, $"{ReportPage.NameOf(paths[i])} {name} from {ReportPage.Time(from)} to {ReportPage.Time(to)}");
                }
            }
        }

        Begin(page, "Sequence of primary and secondaries", "Who was connected when. Full: active; half: silent for a heartbeat; grey: being connected, "
            + "or lost; nothing: not there.");
        End(page, chart);
    }

    private static void Begin(HtmlText page, string title, string what) =>
        page.Raw($"<section><h2>{title}</h2><p class=\"what\">{what}</p>");

    private static void Legend(HtmlText page, IReadOnlyList<PathRecord> paths)
    {
        page.Raw("<ul class=\"legend\">");
        for (int i = 0; i < paths.Count; i++)
        {
            page.Raw($"<li class=\"{ReportPage.ColourOf(i)}\"><i></i>{ReportPage.NameOf(paths[i])}").Foreign(paths[i].Address).Raw("</li>");
        }

        page.Raw("</ul>");
    }

    private static void End(HtmlText page, Chart chart) => page.Raw($"<figure>{chart}</figure></section>");

    // Shorter: 512 MiB.
    private static string Bytes(double value) => ByteSize.Format((long)value).Replace(".0 ", " ", StringComparison.Ordinal);
}
