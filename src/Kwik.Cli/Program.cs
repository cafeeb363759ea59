using Kwik.Cli;

return await CommandLine.RunAsync(args);
