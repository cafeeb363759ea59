using System.Text;

namespace Kwik.Cli.Report;

/// <summary>A drawing in SVG with time from left to right. Numbers only: nothing in it is anybody's text.</summary>
internal sealed class Chart
{
    public const int Width = 760;
    public const int Left = 104;
    public const int Right = 12;
    public const int Top = 12;
    private const int Bottom = 48;

    private readonly StringBuilder _svg = new();
    private readonly double _end;
    private readonly double _highest;
    private readonly int _height;

    /// <param name="label">What is drawn, for those who do not see it.</param>
    /// <param name="height">Of the area, in the units of the drawing.</param>
    /// <param name="end">Milliseconds.</param>
    /// <param name="highest">Of the values; null: there are no values.</param>
    /// <param name="ticks">Marks of the values, and what they are called.</param>
    public Chart(string label, int height, double end, double? highest, IReadOnlyList<(double Value, string Name)> ticks)
    {
        (_height, _end, _highest) = (height, Math.Max(end, 1), Math.Max(highest ?? 1, double.Epsilon));
        _svg.Append($"<svg viewBox=\"0 0 {Width} {height + Top + Bottom}\" role=\"img\" aria-label=\"{label}\">");
        foreach ((double value, string name) in ticks)
        {
            _svg.Append($"<path class=\"grid\" d=\"M{Left} {N(Y(value))}H{Width - Right}\"/>");
            _svg.Append($"<text x=\"{Left - 8}\" y=\"{N(Y(value) + 4)}\" text-anchor=\"end\">{name}</text>");
        }

        (double step, double unit, string unitName) = TimeStep(_end);
        for (double at = 0; at <= _end * 1.0001; at += step)
        {
            _svg.Append($"<path class=\"grid\" d=\"M{N(X(at))} {Top}V{Top + height}\"/>");
            _svg.Append($"<text x=\"{N(X(at))}\" y=\"{Top + height + 20}\" text-anchor=\"middle\">{at / unit:0.###}</text>");
        }

        _svg.Append($"<text x=\"{(Left + Width - Right) / 2}\" y=\"{Top + height + 42}\" text-anchor=\"middle\">time in {unitName}</text>");
    }

    public double X(double time) => Left + ((Width - Left - Right) * Math.Clamp(time / _end, 0, 1));

    public double Y(double value) => Top + (_height * (1 - Math.Clamp(value / _highest, 0, 1)));

    public int Bottommost => Top + _height;

    /// <summary>Marks for values from 0 to the highest, named in one unit.</summary>
    public static List<(double Value, string Name)> Ticks(double highest, Func<double, string> name, bool isBinary = false)
    {
        double raw = Math.Max(highest, 1e-9) / 4;
        double scale = isBinary ? Math.Pow(2, Math.Floor(Math.Log2(raw))) : Math.Pow(10, Math.Floor(Math.Log10(raw)));
        double step = scale * (isBinary ? (raw / scale > 1 ? 2 : 1) : (raw / scale) switch { <= 1 => 1, <= 2 => 2, <= 5 => 5, _ => 10 });
        var ticks = new List<(double, string)>();
        for (double value = 0; value <= highest * 1.0001 && ticks.Count < 12; value += step)
        {
            ticks.Add((value, name(value)));
        }

        return ticks;
    }

    public Chart Path(string style, string data)
    {
        _svg.Append($"<path class=\"{style}\" d=\"{data}\"/>");
        return this;
    }

    public Chart Box(string style, double from, double to, double top, double height, string title)
    {
        double width = Math.Max(1, X(to) - X(from));
        _svg.Append($"<rect class=\"{style}\" x=\"{N(X(from))}\" y=\"{N(top)}\" width=\"{N(width)}\" height=\"{N(height)}\"><title>{title}</title></rect>");
        return this;
    }

    /// <summary>A line from the bottom to the top, at a moment.</summary>
    public Chart Mark(double time, string style, string title)
    {
        _svg.Append($"<path class=\"{style}\" d=\"M{N(X(time))} {Top}V{Bottommost}\"><title>{title}</title></path>");
        return this;
    }

    public Chart Label(double x, double y, string text, string anchor = "end")
    {
        _svg.Append($"<text x=\"{N(x)}\" y=\"{N(y)}\" text-anchor=\"{anchor}\">{text}</text>");
        return this;
    }

    /// <summary>Values of equal intervals as a line; as an area when it is closed.</summary>
    public Chart Line(string style, double[] values, double width, bool isArea)
    {
        var data = new StringBuilder();
        for (int i = 0; i < values.Length; i++)
        {
            data.Append($"{(i == 0 ? 'M' : 'L')}{N(X((i + 0.5) * width))} {N(Y(values[i]))}");
        }

        if (isArea)
        {
            data.Append($"V{Bottommost}H{N(X(0.5 * width))}Z");
        }

        return Path(style, data.ToString());
    }

    public override string ToString() => $"{_svg}</svg>";

    /// <summary>A coordinate: a tenth is finer than a screen.</summary>
    public static string N(double value) => $"{value:0.#}";

    private static (double Step, double Unit, string Name) TimeStep(double end)
    {
        (double unit, string name) = end < 2000 ? (1, "ms") : end < 300_000 ? (1000, "s") : (60_000.0, "min");
        double raw = end / unit / 6;
        double scale = Math.Pow(10, Math.Floor(Math.Log10(raw)));
        double step = (raw / scale) switch { <= 1 => 1, <= 2 => 2, <= 5 => 5, _ => 10 };
        return (step * scale * unit, unit, name);
    }
}
