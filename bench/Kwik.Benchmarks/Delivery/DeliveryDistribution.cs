using System.Globalization;
using System.Text;
using Kwik.Data;

namespace Kwik.Benchmarks;

/// <summary>
/// Random deployments, 2 to 8 servers of 1 to 1,000 Mbit/s and 1 to 400 ms: how close the scheduler comes to what their rates
/// allow. The bound: all bytes that all rates can bring from one round trip after the beginning on.
/// </summary>
internal static class DeliveryDistribution
{
    public static int Run(string[] options)
    {
        int cases = Number(options, "--cases", 1000);
        int only = Number(options, "--seed", -1);
        if (only >= 0)
        {
            Console.WriteLine(Show(Play(only, trace: true)));
            return 0;
        }

        var outcomes = Enumerable.Range(0, cases).Select(seed => Play(seed, trace: false)).ToList();
        Print("all", outcomes);
        Print("no faults", [.. outcomes.Where(outcome => !outcome.HasFaults)]);
        Print("faults", [.. outcomes.Where(outcome => outcome.HasFaults)]);
        Console.WriteLine("The ten worst:");
        foreach (DeliveryOutcome outcome in outcomes.OrderBy(outcome => outcome.Efficiency).Take(10))
        {
            Console.WriteLine("  " + Show(outcome));
        }

        return 0;
    }

    private static int Number(string[] options, string name, int otherwise) =>
        Array.IndexOf(options, name) is >= 0 and int at ? int.Parse(options[at + 1], CultureInfo.InvariantCulture) : otherwise;

    private static DeliveryOutcome Play(int seed, bool trace)
    {
        var random = new Random(seed);
        bool inOrder = random.Next(4) > 0;
        bool hasFaults = random.Next(2) == 0;
        int count = random.Next(2, 9);
        var sources = new List<ModelSource>();
        var text = new StringBuilder(inOrder ? "in order " : "anywhere ");
        double total = 0;
        double longest = 0;
        for (int id = 0; id < count; id++)
        {
            double rate = Math.Exp(random.NextDouble() * Math.Log(1000)) * 1e6 / 8;
            var roundTrip = TimeSpan.FromMilliseconds(Math.Exp(random.NextDouble() * Math.Log(400)));
            sources.Add(new ModelSource(id, roundTrip, rate));
            (total, longest) = (total + rate, Math.Max(longest, roundTrip.TotalSeconds));
            text.Append(CultureInfo.InvariantCulture, $"{rate * 8 / 1e6:0.0}@{roundTrip.TotalMilliseconds:0} ");
        }

        // At least 10 s of work; and a window in which rate x round trip fits twice.
        long length = (long)(total * (10 + (random.NextDouble() * 10)));
        long window = Math.Max(16L << 20, (long)(2 * total * longest));
        if (hasFaults)
        {
            AddFaults(random, sources, length / total, text);
        }

        var model = new DeliveryModel(sources, length, window, inOrder)
        {
            Trace = trace ? (now, step) => Console.WriteLine($"{now.TotalSeconds:0.000} {step}") : null,
        };
        return model.Run($"{seed}: {text}window {window >> 20} MiB", hasFaults);
    }

    /// <summary>Each server but one may change its rate, or die and come back.</summary>
    private static void AddFaults(Random random, List<ModelSource> sources, double seconds, StringBuilder text)
    {
        foreach (ModelSource source in sources.Skip(1))
        {
            double now = 0;
            double rate = source.Possible(source.RoundTrip + TimeSpan.FromSeconds(1));
            while (random.Next(3) == 0)
            {
                now += (0.05 + random.NextDouble()) * seconds / 2;
                double factor = random.Next(2) == 0 ? 0 : 0.2 + random.NextDouble();
                source.Change(TimeSpan.FromSeconds(now), rate * factor);
                text.Append(CultureInfo.InvariantCulture, $"[{source.Id} x{factor:0.0} at {now:0.0}s");
                if (factor == 0)
                {
                    now += (0.05 + random.NextDouble()) * seconds / 2;
                    source.Change(TimeSpan.FromSeconds(now), rate);
                    text.Append(CultureInfo.InvariantCulture, $" back {now:0.0}s");
                }

                text.Append("] ");
            }
        }
    }

    private static void Print(string name, List<DeliveryOutcome> outcomes)
    {
        double[] efficiency = [.. outcomes.Select(outcome => outcome.Efficiency).Order()];
        double[] gaps = [.. outcomes.Select(outcome => outcome.LongestGap.TotalMilliseconds).Order()];
        double extra = outcomes.Sum(outcome => (double)outcome.ExtraBytes);
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{name}: {outcomes.Count} cases, achieved / possible: median {At(efficiency, 0.5):0.000}, 5th percentile {At(efficiency, 0.05):0.000}, "
            + $"lowest {efficiency[0]:0.000}; longest gap: median {At(gaps, 0.5):0} ms, 95th percentile {At(gaps, 0.95):0} ms; asked twice {extra / 1e6:0.0} MB"));
    }

    private static string Show(DeliveryOutcome outcome) => string.Create(
        CultureInfo.InvariantCulture,
        $"{outcome.Efficiency:0.000} {outcome.Elapsed.TotalSeconds:0.0} s of {outcome.Possible.TotalSeconds:0.0} s, gap {outcome.LongestGap.TotalMilliseconds:0} ms, "
        + $"twice {outcome.ExtraBytes / 1e6:0.0} MB; {outcome.Case}");

    private static double At(double[] sorted, double share) => sorted[(int)(share * (sorted.Length - 1))];
}
