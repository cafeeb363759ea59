namespace Kwik.Cli.Report;

/// <summary>
/// A quantity over time in a fixed number of equal intervals, which become longer as the run does. What falls into one is
/// summed, or the highest counts.
/// </summary>
internal sealed class Buckets(bool sums)
{
    /// <summary>8 bytes each.</summary>
    public const int Capacity = 2048;

    private readonly double[] _values = new double[Capacity];

    /// <summary>Milliseconds of one interval; all that are compared have the same after <see cref="Widen"/>.</summary>
    public double Width { get; private set; } = 10;

    public void Add(double time, double value)
    {
        while (time >= Width * Capacity)
        {
            Double();
        }

        ref double slot = ref _values[(int)(time / Width)];
        slot = sums ? slot + value : Math.Max(slot, value);
    }

    /// <summary>The values of intervals so long that the whole run has about as many as this.</summary>
    public double[] Take(double end, int count, out double width)
    {
        while (Width * count < end)
        {
            Double();
        }

        width = Width;
        return _values[..Math.Clamp((int)Math.Ceiling(end / Width), 1, Capacity)];
    }

    private void Double()
    {
        for (int i = 0; i < Capacity; i++)
        {
            double first = 2 * i < Capacity ? _values[2 * i] : 0;
            double second = (2 * i) + 1 < Capacity ? _values[(2 * i) + 1] : 0;
            _values[i] = sums ? first + second : Math.Max(first, second);
        }

        Width *= 2;
    }
}
