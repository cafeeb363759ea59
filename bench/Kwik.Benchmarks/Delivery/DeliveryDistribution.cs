using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Kwik.Data;

namespace Kwik.Benchmarks;

/// <summary>
/// Random deployments, 2 to 8 servers of 1 to 1,000 Mbit/s and 1 to 400 ms: how close the scheduler comes to what their rates
/// allow. The bound: all bytes that all rates can bring from one round trip after the beginning on.
/// </summary>
internal static class DeliveryDistribution
{
    // A server with faults is up to so many times as fast as at the beginning.
    private const double MostFaster = 1.2;

    private static readonly JsonSerializerOptions SnakeCase = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        WriteIndented = true,
    };

    /// <summary>Returns 1 when a bar is missed.</summary>
    public static int Run(string[] options)
    {
        int cases = Number(options, "--cases", 500);
        int only = Number(options, "--seed", -1);
        if (only >= 0)
        {
            Console.WriteLine(Play(only, trace: true));
            return 0;
        }

        List<DeliveryOutcome> outcomes = [.. Enumerable.Range(0, cases).Select(seed => Play(seed, trace: false))];
        DeliverySummary all = DeliverySummary.Of(outcomes);
        var groups = new (string Name, DeliverySummary Summary)[]
        {
            ("in_order", DeliverySummary.Of([.. outcomes.Where(outcome => outcome.InOrder)])),
            ("positioned", DeliverySummary.Of([.. outcomes.Where(outcome => !outcome.InOrder)])),
            ("without_faults", DeliverySummary.Of([.. outcomes.Where(outcome => !outcome.HasFaults)])),
            ("with_faults", DeliverySummary.Of([.. outcomes.Where(outcome => outcome.HasFaults)])),
        };
        if (options.Contains("--json"))
        {
            JsonObject json = JsonSerializer.SerializeToNode(all, SnakeCase)!.AsObject();
            foreach ((string name, DeliverySummary summary) in groups)
            {
                json[name] = JsonSerializer.SerializeToNode(summary, SnakeCase);
            }

            Console.WriteLine(json.ToJsonString(SnakeCase));
        }
        else
        {
            Console.WriteLine($"all: {all}");
            Array.ForEach(groups, group => Console.WriteLine($"{group.Name}: {group.Summary}"));
            Console.WriteLine("The ten worst:");
            outcomes.OrderBy(outcome => outcome.Efficiency).Take(10).ToList().ForEach(outcome => Console.WriteLine($"  {outcome}"));
            Console.WriteLine("The three that sent most twice, without faults:");
            outcomes.Where(outcome => !outcome.HasFaults).OrderByDescending(outcome => outcome.DuplicateRatio).Take(3).ToList()
                .ForEach(outcome => Console.WriteLine($"  {outcome}"));
        }

        return all.MeetsBars ? 0 : 1;
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
        long window = Math.Max(16L << 20, (long)(2 * total * longest * (hasFaults ? MostFaster : 1)));
        if (hasFaults)
        {
            AddFaults(random, sources, length / total, text);
        }

        var model = new DeliveryModel(sources, length, window, inOrder)
        {
            Trace = trace ? Show : null,
        };
        return model.Run($"{seed}: {text}window {window >> 20} MiB", hasFaults);
    }

    private static void Show(TimeSpan now, long taken, DeliveryStep step)
    {
        string range = step.Kind switch
        {
            DeliveryStepKind.Ask => $"{step.Reason} {step.RequestId}: {step.Offset >> 18}..{step.End / 262144.0:0.#}",
            DeliveryStepKind.Cancel => $"{step.Why} {step.RequestId}: {step.Offset >> 18}..{step.End / 262144.0:0.#}",
            _ => "",
        };
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{now.TotalSeconds:0.000} at {taken >> 18}: {step.Source} {step.Kind} {range} ({step.Rate * 8 / 1e6:0.0} Mbit/s, "
            + $"{step.RoundTrip.TotalMilliseconds:0} ms, owes {step.Outstanding / 262144.0:0.0})"));
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
                double factor = random.Next(2) == 0 ? 0 : MostFaster - 1 + random.NextDouble();
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
}
