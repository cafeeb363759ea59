using System.CommandLine;
using System.CommandLine.Parsing;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Kwik.Cli.Output;

namespace Kwik.Cli.Commands;

/// <summary>Options and output that several commands have.</summary>
internal static class CommonOptions
{
    public static Option<bool> Json(string what) => new("--json") { Description = $"Print {what} as one JSON object on standard output." };

    public static Option<bool> Force() => new("--force") { Description = "Replace files that exist." };

    public static Option<ProgressStyle> Progress() => new("--progress")
    {
        Description = "How progress is shown: bars on a terminal (auto), a line a second (plain), JSON lines on standard output (json), "
            + "or none.",
        DefaultValueFactory = _ => ProgressStyle.Auto,
        HelpName = "auto|plain|json|none",
    };

    /// <summary>A number of bytes, or one with a unit.</summary>
    public static long? ParseSize(ArgumentResult result)
    {
        string text = result.Tokens[0].Value;
        if (!ByteSize.TryParse(text, out long bytes))
        {
            result.AddError($"'{text}' is no size; say bytes, or a unit, as 500MiB or 1.5GB");
        }

        return bytes;
    }

    public static void WriteJson<T>(T value, JsonTypeInfo<T> type) => Console.Out.WriteLine(JsonSerializer.Serialize(value, type));
}
