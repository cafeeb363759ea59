using System.CommandLine;
using Kwik.Cli.Output;
using Kwik.Sessions;

namespace Kwik.Cli.Commands;

/// <summary><c>kwik key</c>: makes the key with which a primary signs what its secondaries check.</summary>
internal static class KeyCommand
{
    private static readonly Option<string> Output = new("--output", "-o")
    {
        Description = "The private key, PEM, mode 0600; stays with the primary.",
        Required = true,
    };

    private static readonly Option<string?> Public = new("--public")
    {
        Description = "The public key for secondaries; default: beside it, as .pub.",
    };

    private static readonly Option<bool> Force = CommonOptions.Force();
    private static readonly Option<bool> Json = CommonOptions.Json("the files");

    public static Command Create()
    {
        var command = new Command("key", "Make the signing key of a primary server.") { Output, Public, Force, Json };
        command.SetAction(Run);
        return command;
    }

    private static int Run(ParseResult parsed)
    {
        string path = parsed.GetRequiredValue(Output);
        string publicPath = parsed.GetValue(Public) ?? Path.ChangeExtension(path, ".pub");
        if (NewFile.IsSame(path, publicPath))
        {
            throw new UsageException("The private and the public key go into two files.");
        }

        bool replace = parsed.GetValue(Force);
        NewFile.Check(path, replace);
        NewFile.Check(publicPath, replace);
        using PrimaryKey key = PrimaryKey.Create();
        NewFile.Write(replace, (path, key.ToPem(), true), (publicPath, key.PublicKey.ToPem(), false));
        if (parsed.GetValue(Json))
        {
            CommonOptions.WriteJson(new(path, publicPath), JsonObjects.Default.KeyJson);
        }
        else
        {
            Console.Error.WriteLine($"wrote {path}, which stays with the primary, and {publicPath}, which its secondaries trust");
        }

        return (int)ExitCode.Ok;
    }
}
