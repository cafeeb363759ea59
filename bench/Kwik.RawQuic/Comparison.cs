using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Kwik.Sessions;

namespace Kwik.RawQuic;

/// <summary>
/// Several libraries in one run: each round measures every one of them, in turn, in processes of their own. What counts is
/// the median of the rounds, and its ratio to that of the first library.
/// </summary>
internal static class Comparison
{
    public static async Task<SortedDictionary<string, object>> RunAsync(IReadOnlyList<string> libraries, int runs, int seconds)
    {
        var all = libraries.ToDictionary(library => library, _ => new List<Dictionary<string, double>>());
        for (int run = 1; run <= runs; run++)
        {
            // The other way round every second time: what is measured first is measured on a machine that has rested.
            foreach (string library in run % 2 == 1 ? libraries : libraries.Reverse())
            {
                await Console.Error.WriteLineAsync($"round {run} of {runs}: {library}");
                all[library].Add(await MeasureAsync(library, seconds));
            }
        }

        var medians = all.ToDictionary(
            entry => entry.Key,
            entry => entry.Value[0].Keys.ToDictionary(name => name, name => Median(entry.Value.Select(figures => figures[name]))));
        var result = new SortedDictionary<string, object> { ["runs"] = runs, ["seconds"] = seconds };
        foreach (string library in libraries)
        {
            result[library] = new SortedDictionary<string, object>(medians[library].ToDictionary(
                figure => figure.Key,
                object (figure) => new SortedDictionary<string, double>
                {
                    ["median"] = Math.Round(figure.Value, 3),
                    ["lowest"] = Math.Round(all[library].Min(figures => figures[figure.Key]), 3),
                    ["highest"] = Math.Round(all[library].Max(figures => figures[figure.Key]), 3),
                    ["ratio"] = Math.Round(figure.Value / medians[libraries[0]][figure.Key], 3),
                }));
        }

        return result;
    }

    private static async Task<Dictionary<string, double>> MeasureAsync(string library, int seconds)
    {
        using Process process = ServerProcess.Start(
            ["--seconds", seconds.ToString(CultureInfo.InvariantCulture)], (QuicProvider.PathVariable, library));
        process.StandardInput.Close();
        string output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        if (process.ExitCode != 0)
        {
            throw new InvalidOperationException($"The measurement of '{library}' ended with code {process.ExitCode}.");
        }

        using JsonDocument json = JsonDocument.Parse(output);
        return json.RootElement.GetProperty("figures").Deserialize<Dictionary<string, double>>()!;
    }

    private static double Median(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }
}
